"""Environments: what a function requires, installed by uv once and for all runs.

An environment is found by what it is made from: the Python, the requirements, the
instructions. It is made under a lock, by one process however many want it, and is there
when its stamp is; half a one is made anew. What was installed is in its lock file.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from pybridge.errors import BadArgument, HostError
from pybridge.functions import pythons, serve, uv
from pybridge.functions.pythons import interpreter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pybridge.functions.store import Store

__all__ = [
    "BASE",
    "IMAGE",
    "SERVICE",
    "Environment",
    "Request",
    "Stopped",
    "find",
    "interpreter",
    "is_needed",
    "make",
    "of_image",
    "request",
]

# What runs need besides their own requirements; with no versions of ours where those of
# the user decide.
BASE = (
    "pandas",
    "pyarrow",
    "pydantic>=2.7",
    "cloudpickle>=3",
    "pyyaml",
    "requests",
    "fsspec",
    "xxhash",
    "eval_type_backport; python_version < '3.10'",
)
SERVICE = serve.REQUIREMENTS
IMAGE = "pybridge.local/environment"  # followed by ":" and a digest

_FORM = 1  # to be changed with what an environment has in it
_STAMP = "environment.json"
_LOCK = "requirements.lock"
_PAUSE = 0.05
_PACKAGE = Path(__file__).resolve().parent.parent


class Stopped(Exception):  # noqa: N818 - what happened, and no mistake
    """Whoever wanted an environment wants it no more."""


class Request(NamedTuple):
    """What an environment is made from."""

    python: pythons.Python
    requirements: tuple[str, ...]
    extra: tuple[str, ...] = ()
    instructions: tuple[str, ...] = ()
    base_image: Optional[str] = None

    @property
    def digest(self) -> str:
        """What it is found by."""
        parts = [
            _FORM,
            self.python.version,
            self.python.home,
            sorted({" ".join(one.split()) for one in self.requirements}),
            sorted({*BASE, *self.extra}),
            list(self.instructions),
            self.base_image,
        ]
        text = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class Environment(NamedTuple):
    """One that is made: its Python, what it is found by, and what is in it."""

    python: Path
    digest: str
    lock: str
    path: Path

    @property
    def image(self) -> str:
        """What it is called as the image of a function."""
        return f"{IMAGE}:{self.digest}"


def is_needed(spec: Mapping[str, Any], own: Optional[str] = None) -> bool:
    """Tell whether a run cannot have the Python of its client, with all that it has.

    `own` is the version of that Python; None is this one's.
    """
    if spec.get("requirements") or _digest_of(spec.get("image")):
        return True
    own = own or pythons.own_version()
    return pythons.version_of(spec.get("python_version") or own) != own


def request(spec: Mapping[str, Any], *, store: Store) -> Request:
    """Return what a run's environment is made from: its image, or its requirements.

    Raises:
        BadArgument: there is no Python of its version, or the image is gone.

    """
    from pybridge.functions import sources

    served = SERVICE if spec.get("action") == "serve" else ()
    extra = (*served, *sources.needs(spec.get("source") or {"base64": ""}))
    python = pythons.find(spec.get("python_version"))
    requirements = tuple(spec.get("requirements") or ())
    built = of_image(spec.get("image"), store=store)
    if built is None:
        return Request(python, requirements, extra)
    stamp = json.loads((built.path / _STAMP).read_text(encoding="utf-8"))
    # An image that was built for jobs alone is not enough for a service.
    return Request(
        pythons.find(stamp["version"]),
        tuple({**dict.fromkeys(stamp["requirements"]), **dict.fromkeys(requirements)}),
        tuple({**dict.fromkeys(stamp["extra"]), **dict.fromkeys(extra)}),
        tuple(stamp["instructions"]),
        stamp["base_image"],
    )


def find(wanted: Request, *, store: Store) -> Optional[Environment]:
    """Return an environment that is there; None otherwise."""
    return _read(_folder(store) / wanted.digest)


def of_image(image: Optional[str], *, store: Store) -> Optional[Environment]:
    """Return the environment that a function's image is; None for images of others.

    Raises:
        BadArgument: it is one of ours, and not there any more.

    """
    digest = _digest_of(image)
    if not digest:
        return None
    found = _read(_folder(store) / digest)
    if found is None:
        raise BadArgument(
            f"image '{image}' is not in the store '{store.root}' any more; build the "
            "function again"
        )
    return found


def make(
    wanted: Request,
    *,
    store: Store,
    progress: Optional[Callable[[str], None]] = None,
    stopped: Optional[Callable[[], bool]] = None,
    environ: Optional[Mapping[str, str]] = None,
) -> Environment:
    """Return an environment, made where neither this nor another process has made it.

    `progress` is given lines for people, `stopped` is asked whether it is not wanted
    any more, `environ` has the settings of uv and pip; None is this process's.

    Raises:
        HostError: it cannot be made; with the words of uv.
        Stopped: `stopped` said so.

    """
    say = progress or (lambda _: None)
    is_stopped = stopped or (lambda: False)
    path = _folder(store) / wanted.digest
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(path.with_suffix(".lock"), say, is_stopped):
        found = _read(path)
        if found is not None:
            return found
        shutil.rmtree(path, ignore_errors=True)
        try:
            tool = uv.Tool(say, is_stopped, wanted.requirements, environ)
            _make(wanted, path, say, tool)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        made = _read(path)
    if made is None:
        raise HostError(f"the environment '{path}' was made, and is not there")
    return made


def _folder(store: Store) -> Path:
    return Path(store.root) / "cache" / "environments"


def _digest_of(image: Optional[str]) -> str:
    name, _, digest = (image or "").partition(":")
    return digest if name == IMAGE else ""


def _read(path: Path) -> Optional[Environment]:
    """Return the environment of a directory, if it is whole."""
    try:
        stamp = json.loads((path / _STAMP).read_text(encoding="utf-8"))
        lock = (path / _LOCK).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    python = path / "bin" / "python"
    if not python.exists():  # the Python it was made with is gone
        return None
    _link(path, stamp["version"])
    return Environment(python, path.name, lock, path)


@contextmanager
def _locked(
    path: Path, say: Callable[[str], None], stopped: Callable[[], bool]
) -> Iterator[None]:
    """Hold the lock of an environment, waited for as long as that is wanted.

    Raises:
        Stopped: it is wanted no more.

    """
    fd = os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        told = False
        while not _has_locked(fd):
            if stopped():
                raise Stopped
            if not told:
                say("another process makes the environment")
                told = True
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(fd)


def _has_locked(fd: int) -> bool:
    """Lock a file, unless another process has; tell whether it is locked here."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make(
    wanted: Request,
    path: Path,
    say: Callable[[str], None],
    tool: uv.Tool,
) -> None:
    """Make an environment; its stamp is written last."""
    began = time.monotonic()
    say(f"making an environment of Python {wanted.python.version}")
    tool.run("venv", "--quiet", "--python", str(wanted.python.program), str(path))
    listed = path / "requirements.in"
    lines = [*wanted.requirements, *wanted.extra, *BASE]
    listed.write_text("\n".join(lines) + "\n", encoding="utf-8")
    python = path / "bin" / "python"
    lock = path / _LOCK
    tool.run(
        *("pip", "compile", "--quiet", "--no-header", "--generate-hashes"),
        *("--python", str(python), "--output-file", str(lock), str(listed)),
    )
    tool.run("pip", "sync", "--python", str(python), str(lock))
    version = ".".join(wanted.python.version.split(".")[:2])
    _link(path, version)
    for line in wanted.instructions:
        tool.instruct(line, path)
    stamp = {
        "version": version,
        "python": wanted.python.version,
        "home": wanted.python.home,
        "requirements": list(wanted.requirements),
        "extra": list(wanted.extra),
        "instructions": list(wanted.instructions),
        "base_image": wanted.base_image,
        "seconds": round(time.monotonic() - began, 3),
    }
    temporary = path / f"{_STAMP}.new"
    temporary.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    temporary.replace(path / _STAMP)
    say(f"the environment was made in {stamp['seconds']:.1f} s")


def _link(path: Path, version: str) -> None:
    """Have `import pybridge` find this package in an environment."""
    place = path / "lib" / f"python{version}" / "site-packages" / "pybridge"
    for _ in range(2):  # another process may do the same
        try:
            if Path(os.readlink(str(place))) == _PACKAGE:
                return
            place.unlink()
        except OSError:
            if place.is_dir() and not place.is_symlink():  # it is a requirement itself
                return
        try:
            place.symlink_to(_PACKAGE, target_is_directory=True)
        except FileExistsError:
            continue
        return
