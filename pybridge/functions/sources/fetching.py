"""Fetching: the tree of a source, from the cache or from where it lies."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from pybridge.errors import BadArgument, BridgeError
from pybridge.functions.sources import address, archive, handlers, text
from pybridge.functions.sources.cache import Cache
from pybridge.functions.sources.limits import limits
from pybridge.functions.sources.staging import digest_of_file
from pybridge.masking import mask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pybridge.functions.store import Store

__all__ = ["Tree", "fetch", "needs"]

PACKS = "sources"  # the directory of the store with what was taken along
_MOST = 1024  # trees of source texts that are known by heart


class Tree(NamedTuple):
    """A read-only directory with the code of a function.

    `path` is where its imports start, `module` and `name` what the handler means in it.
    """

    path: Path
    digest: str
    module: str
    name: str


# What lies elsewhere -> the module that fetches it.
_ELSEWHERE = {"git": "git", "web": "web", "bucket": "bucket"}

_caches: dict[tuple[int, str], Cache] = {}
_known: dict[tuple[str, str, str, str], Tree] = {}


def fetch(
    source: Mapping[str, Any], *, store: Store, environ: Mapping[str, str] | None = None
) -> Tree:
    """Return the tree of the `source` of a function's spec.

    `environ` is the environment of the run: tokens, passwords and proxies are taken
    from it; this process's own where there is none.

    Raises:
        BadArgument: the source cannot be had, or is refused, or has no such module.
        TooLarge: it is more than the limits allow.

    """
    cache = _cache(store.root)
    base64 = source.get("base64")
    if base64 is not None:
        return _fetch_text(source, base64, cache)
    what = str(source.get("source") or "")
    handler = str(source.get("handler") or "")
    if source.get("path"):
        digest = _fetch_pack(source, cache, store, what)
        default = default_of(what)
    else:
        parsed = address.parse(what)
        digest = _fetch_remote(
            parsed, cache, os.environ if environ is None else environ
        )
        default, what = default_of(parsed.filename), parsed.shown
    root = _found(cache, digest, what)
    target = handlers.locate(handler, root, default=default, what=what)
    return Tree(target.root, digest, target.module, target.name)


def needs(source: Mapping[str, Any], *, here: bool = True) -> tuple[str, ...]:
    """Return the distributions that fetching a source needs beside the usual ones.

    Elsewhere than here, as in a container, there may be no git program.
    """
    if source.get("base64") is not None or source.get("path"):
        return ()
    kind = address.parse(str(source.get("source") or "")).kind
    if kind == "git":
        from shutil import which

        return () if here and which("git") else ("dulwich",)
    return ("s3fs",) if kind == "bucket" else ()


def default_of(source: str) -> str:
    """Return the module that a handler without one means: the name of the archive."""
    return source.rstrip("/").rpartition("/")[2].partition(".")[0]


def _fetch_text(source: Mapping[str, Any], base64: str, cache: Cache) -> Tree:
    """Return the tree of one file; its content counts, not the digest that is told."""
    handler, told = str(source.get("handler") or ""), source.get("source")
    key = (str(cache.path), base64, str(told), handler)
    tree = _known.get(key)
    if tree is not None and cache.find(tree.digest) is not None:
        return tree
    content, name = text.decode(base64), text.filename(told)
    digest = digest_of_file(name, content)
    if cache.find(digest) is None:
        with cache.staging(name, limits()) as staging:
            staging.file(name, [content])
            digest = cache.keep(staging)
    root = _found(cache, digest, name)
    target = handlers.locate(handler, root, default=None, what=name)
    tree = Tree(target.root, digest, target.module, target.name)
    if len(_known) >= _MOST:
        _known.clear()
    _known[key] = tree
    return tree


def _fetch_pack(
    source: Mapping[str, Any], cache: Cache, store: Store, what: str
) -> str:
    """Return the digest of what was taken along at creation."""
    digest = str(source.get("digest") or "")
    if digest and "/" not in digest and cache.find(digest) is not None:
        return digest
    pack = store.root / PACKS / Path(str(source["path"])).name
    if not pack.is_file():
        raise BadArgument(
            f"the archive of '{what}' is not in this store: there is no '{pack}'; "
            "create the function again"
        )
    with cache.staging(what, limits()) as staging:
        archive.unpack(pack, staging)
        return cache.keep(staging)


def _fetch_remote(
    parsed: address.Address, cache: Cache, environ: Mapping[str, str]
) -> str:
    """Return the digest of what lies elsewhere; one process at a time goes there."""
    module = import_module(f"{__package__}.{_ELSEWHERE[parsed.kind]}")
    with cache.alone(f"{parsed.kind} {parsed.url}"):
        try:
            return str(module.fetch(parsed, cache, environ, limits()))
        except BridgeError as exc:
            raise type(exc)(_shown(exc, parsed, module.SECRETS, environ)) from None


def _shown(
    exc: BridgeError,
    parsed: address.Address,
    names: tuple[str, ...],
    environ: Mapping[str, str],
) -> str:
    """Return an error's text without secrets: passwords, and what signs an address."""
    parts = urlsplit(parsed.url)
    told = str(exc)
    user, at, _ = parts.netloc.rpartition("@")
    for secret in (user + at, f"?{parts.query}" if parts.query else ""):
        if secret:
            told = told.replace(secret, "")
    return mask(told, tuple(environ.get(name, "") for name in names))


def _found(cache: Cache, digest: str, what: str) -> Path:
    """Return the tree with a digest, which was there a moment ago.

    Raises:
        BadArgument: it is gone.

    """
    path = cache.find(digest)
    if path is None:
        raise BadArgument(f"the tree of '{what}' is gone from the cache; run again")
    return path


def _cache(root: Path) -> Cache:
    """Return this process's cache of a store."""
    key = (os.getpid(), str(root))
    cache = _caches.get(key)
    if cache is None:
        cache = _caches.setdefault(key, Cache(root))
    return cache
