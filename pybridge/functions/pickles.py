"""Pickles of objects, classes included, signed as saved contexts are.

The signature stands behind the pickle's last byte, where `pickle.load` does not look:
the file is an ordinary pickle to everybody else.
"""

# ruff: noqa: S301 - what may be loaded is what this file decides

from __future__ import annotations

import hashlib
import json
import pickle
import platform
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument, NotTrusted, Unsupported
from pybridge.functions.loading import PREFIX
from pybridge.key import Key

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["dumps", "loads", "sign"]

_MARK = b"\n# pybridge signature "
# Modules of functions, and of contexts: no other process has them.
_OWN = (PREFIX, "pybridge_context_", "pybridge_main")
_LONGEST = 4096  # bytes of what stands behind the mark


def dumps(value: Any) -> bytes:
    """Return the signed pickle of an object; a function's own classes go along.

    Raises:
        Unsupported: it cannot be pickled; says what of it.

    """
    cloudpickle = _cloudpickle()
    with _by_value(cloudpickle):
        try:
            data = cloudpickle.dumps(value)
        except Exception as exc:
            raise Unsupported(
                f"{type(value).__qualname__} cannot be pickled: {exc}; return data, "
                "or write a file and project.log_artifact() it"
            ) from exc
    return sign(data)


def sign(data: bytes) -> bytes:
    """Return a pickle with one's own signature, in the place of any that it has."""
    data, _ = _split(data)
    about = {
        "python": platform.python_version(),
        # Code is of one version of Python only.
        "code": b"cloudpickle" in data,
        "digest": hashlib.sha256(data).hexdigest(),
    }
    key = Key.own()
    about["key"] = key.name
    about["signature"] = key.sign(_signed(about))
    return data + _MARK + json.dumps(about).encode() + b"\n"


def loads(data: bytes, *, name: str = "the pickle", trust: bool = False) -> Any:
    """Return the object of a signed pickle.

    Raises:
        NotTrusted: it is not signed with one's own key, or was changed since.
        BadArgument: it is of another version of Python, or cannot be read.

    """
    data, about = _split(data)
    if not trust:
        _require(data, about, name)
    version = str((about or {}).get("python", ""))
    if about is not None and about.get("code") and not _same(version):
        raise BadArgument(
            f"'{name}' has code of Python {version} in it, this is "
            f"{platform.python_version()}; load it with that version, or make it anew"
        )
    try:
        return pickle.loads(data)
    except ModuleNotFoundError as exc:
        raise BadArgument(
            f"'{name}' cannot be read: it needs the module '{exc.name}'; install it"
        ) from exc
    except Exception as exc:
        raise BadArgument(
            f"'{name}' cannot be read: {type(exc).__name__}: {exc}"
        ) from exc


def _require(data: bytes, about: dict[str, Any] | None, name: str) -> None:
    """Refuse what is not signed with one's own key, or was changed since.

    Raises:
        NotTrusted: it is; the message says how to trust it.

    """
    if about is None:
        what = "is not signed"
    elif about.get("digest") != hashlib.sha256(data).hexdigest():
        what = "was changed since it was signed"
    else:
        key = Key.own()
        if key.has_signed(_signed(about), str(about.get("signature", ""))):
            return
        own = about.get("key") == key.name
        what = "was changed since it was signed" if own else "is signed by another key"
    raise NotTrusted(
        f"'{name}' {what}, and a pickle can run any code; if you know where it comes "
        "from, load it with trust=True"
    )


def _signed(about: dict[str, Any]) -> str:
    """Return the text that is signed."""
    return f"pickle {about.get('python')} {about.get('code')} {about.get('digest')}"


def _split(data: bytes) -> tuple[bytes, dict[str, Any] | None]:
    """Return a pickle, and what stands behind it about its signature."""
    place = data.rfind(_MARK, max(0, len(data) - _LONGEST))
    if place < 0:
        return data, None
    try:
        about = json.loads(data[place + len(_MARK) :])
    except ValueError:
        return data, None
    return data[:place], about if isinstance(about, dict) else None


def _same(version: str) -> bool:
    return version.split(".")[:2] == platform.python_version().split(".")[:2]


@contextmanager
def _by_value(cloudpickle: Any) -> Iterator[None]:
    """Have modules of functions pickled with their code: none can be imported."""
    registry: set[str] = getattr(
        cloudpickle.cloudpickle, "_PICKLE_BY_VALUE_MODULES", set()
    )
    registry.update(name for name in list(sys.modules) if name.startswith(_OWN))
    try:
        yield
    finally:
        # The rest is left there: runs at the same time may need the same.
        for name in list(registry):
            if name.startswith(_OWN) and name not in sys.modules:
                registry.discard(name)


def _cloudpickle() -> Any:
    """Return the package.

    Raises:
        Unsupported: it is not installed.

    """
    try:
        import cloudpickle
    except ImportError:
        raise Unsupported(
            "objects are kept by cloudpickle, which is not installed; "
            "pip install 'pybridge[functions]'"
        ) from None
    return cloudpickle
