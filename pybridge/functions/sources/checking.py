"""Checking: a source and its handler at creation, with all faults told at once."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument, BridgeError
from pybridge.functions import files
from pybridge.functions.faults import Fault, Faults, shown
from pybridge.functions.sources import (
    address,
    archive,
    companions,
    handlers,
    local,
    text,
)
from pybridge.functions.sources.cache import Cache
from pybridge.functions.sources.fetching import PACKS, default_of
from pybridge.functions.sources.limits import limits
from pybridge.masking import mask

if TYPE_CHECKING:
    from collections.abc import Callable

    from pybridge.functions.sources.staging import Staging
    from pybridge.functions.store import Store

__all__ = ["check"]

LANGUAGE = "python"


class _Found:
    """The faults that are found in the arguments, in the order they are given in."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def add(self, field: str, message: str, value: object = None) -> None:
        """Note a fault; its message need not begin with the field's name."""
        if message.startswith(f"{field} "):
            message = message[len(field) + 1 :]
        self.faults.append(Fault(field, value, message))


def check(
    *,
    code: str | None = None,
    base64: str | None = None,
    code_src: str | os.PathLike[str] | None = None,
    handler: str | None = None,
    init_function: str | None = None,
    lang: str | None = None,
    store: Store,
) -> dict[str, Any]:
    """Return the `source` of a function's spec.

    Code that lies on this machine is put into the store: one file as base64, more than
    one as an archive beside it.

    Raises:
        Faults: source or handler are missing or cannot be right; all that is wrong.

    """
    faults = _Found()
    cache = Cache(store.root)
    found: dict[str, Any] | None = None
    field, value = _given(code, base64, code_src)
    if field is None:
        faults.add("source", "missing; give code, base64 or code_src")
    elif not isinstance(value, (str, os.PathLike)):
        faults.add(field, f"{shown(value)} is not a text", value)
    else:
        try:
            found = _TAKERS[field](os.fspath(value), cache, store)
        except (BridgeError, OSError) as exc:
            faults.add(field, str(exc), mask(os.fspath(value)))
    _check_handler(handler, init_function, found, cache, faults)
    if faults.faults:
        raise Faults("new_function", faults.faults)
    entry = {"handler": handler, "init_function": init_function}
    return {**(found or {}), **entry, "lang": lang or LANGUAGE}


def _given(code: object, base64: object, code_src: object) -> tuple[str | None, object]:
    """Return which source counts, and its value."""
    given = (("code", code), ("base64", base64), ("code_src", code_src))
    for field, value in given:
        if value is not None:
            return field, value
    return None, None


def _take_code(value: str, cache: Cache, _: Store) -> dict[str, Any]:
    """Take plain source text."""
    try:
        content = value.encode()
    except UnicodeEncodeError as exc:
        raise BadArgument(f"code is not Unicode text: {exc}") from None
    return _take_text(content, "code", text.NAME, cache)


def _take_base64(value: str, cache: Cache, _: Store) -> dict[str, Any]:
    """Take source text in base64."""
    return _take_text(text.decode(value), "base64", text.NAME, cache)


def _take_code_src(value: str, cache: Cache, store: Store) -> dict[str, Any]:
    """Take what a path or address means; what lies elsewhere is left there."""
    parsed = address.parse(value)
    if parsed.kind != "local":
        return {"source": value}
    path = local.find(parsed.url)
    if parsed.checksum is not None and path.is_file():
        parsed.verify(files.digest_of(path))
    beside: list[Path] = []
    if path.is_file() and not parsed.archive:
        content = path.read_bytes()
        source = str(path.absolute())
        text.verify(content, f"code_src '{path}'")
        beside = companions.find(path)
        if not beside or text.filename(source) != path.name:
            return _take_text(content, f"code_src '{path}'", source, cache)

    def fill(staging: Staging) -> None:
        if beside:
            local.take_files([path, *beside], staging, without=store.root)
        elif path.is_file():
            archive.unpack(path, staging)
        else:
            local.take_directory(path, staging, without=store.root)

    return _take_tree(path, fill, cache, store)


_TAKERS: dict[str, Callable[[str, Cache, Store], dict[str, Any]]] = {
    "code": _take_code,
    "base64": _take_base64,
    "code_src": _take_code_src,
}


def _take_text(content: bytes, what: str, source: str, cache: Cache) -> dict[str, Any]:
    """Take one file: it goes into the spec, and at once into the cache."""
    text.verify(content, what)
    with cache.staging(what, limits()) as staging:
        staging.file(text.filename(source), [content])
        digest = cache.keep(staging)
    return {"source": source, "base64": text.encode(content), "digest": digest}


def _take_tree(
    path: Path, fill: Callable[[Staging], None], cache: Cache, store: Store
) -> dict[str, Any]:
    """Take many files: they go into an archive of the store, and into the cache."""
    with cache.staging(str(path), limits(), strict=path.is_file()) as staging:
        fill(staging)
        digest = cache.keep(staging)
    name = f"{PACKS}/{digest}.zip"
    pack = store.root / name
    if not pack.exists():
        pack.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=pack.parent)
        os.close(handle)
        tree = cache.find(digest)
        try:
            if tree is None:
                raise BadArgument(f"'{path}' was changed while it was taken; try again")
            archive.pack(tree, Path(partial))
            Path(partial).replace(pack)
        finally:
            Path(partial).unlink(missing_ok=True)
    return {"source": str(path.absolute()), "path": name, "digest": digest}


def _check_handler(
    handler: object,
    init_function: object,
    found: dict[str, Any] | None,
    cache: Cache,
    faults: _Found,
) -> None:
    """Check the handler's form, and that it is there as far as that can be seen."""
    digest = (found or {}).get("digest")
    root = None if digest is None else cache.find(digest)
    what = _name_of(found)
    target = None
    if handler is None or handler == "":
        faults.add("handler", _missing(root, found))
    elif not isinstance(handler, str):
        faults.add("handler", f"{shown(handler)} is not a text", handler)
    else:
        try:
            handlers.parse(handler)
            if root is not None:
                default = default_of((found or {})["source"])
                target = handlers.locate(handler, root, default=default, what=what)
        except BadArgument as exc:
            faults.add("handler", str(exc), handler)
    if target is not None:
        told = handlers.explain(target.name, target, what, "handler")
        if told is not None:
            faults.add("handler", told, handler)
    if isinstance(init_function, str) and target is not None:
        told = handlers.explain(init_function, target, what, "init_function")
        if told is not None:
            faults.add("init_function", told, init_function)


def _missing(root: Path | None, found: dict[str, Any] | None) -> str:
    """Say that the handler is missing, and what it could be."""
    wanted = "missing; give the name of a function"
    if root is None or found is None:
        return wanted
    try:
        default = default_of(found["source"])
        target = handlers.locate("handler", root, default=default, what="")
    except BadArgument:
        return f"{wanted} with its module, 'module:function'"
    seen = handlers.shape(target)
    if seen is None or not seen.functions:
        return wanted
    return f"{wanted}, one of: {', '.join(seen.functions[:10])}"


def _name_of(found: dict[str, Any] | None) -> str:
    """Return how a source is called in errors."""
    return str((found or {}).get("source", "code"))
