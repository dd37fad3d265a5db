"""Sources in S3: a file, an archive, or all that lies below a prefix, by fsspec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pybridge.errors import BadArgument, HostError
from pybridge.functions.sources.download import Watch, download, known

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pybridge.functions.sources.address import Address
    from pybridge.functions.sources.cache import Cache
    from pybridge.functions.sources.limits import Limits

__all__ = ["SECRETS", "fetch"]

SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "S3_ENDPOINT_URL")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_CHUNK = 1024 * 1024


def fetch(
    address: Address, cache: Cache, environ: Mapping[str, str], limits: Limits
) -> str:
    """Return the digest of the tree of an object, or of the objects below a prefix.

    Raises:
        BadArgument: there is none, or it is refused, or not what it should be.
        HostError: the store is not there.

    """
    parts = urlsplit(address.url)
    path = f"{parts.netloc}/{unquote(parts.path).lstrip('/')}"
    origin = f"bucket {_first(environ, _ENDPOINTS)} {address.archive} {path}"
    found = known(cache, origin, sha256=address.checksum)
    if found is not None:
        return found
    files = _file_system(environ, limits)
    watch = Watch(address.shown, limits)
    if path.endswith("/"):
        return _fetch_prefix(address, files, path, cache, watch)
    etag = _asked(address, lambda: str(files.info(path).get("ETag") or "")) or None
    if address.checksum is None:
        found = known(cache, origin, etag=etag)
        if found is not None:
            return found
    with download(cache) as file:
        _asked(address, lambda: file.write(_chunks(files, path), watch))
        digest = file.keep(address, cache, limits)
        facts = {"etag": etag, "sha256": file.sha256, "digest": digest}
        cache.note(origin, facts)
        return digest


def _fetch_prefix(
    address: Address, files: Any, path: str, cache: Cache, watch: Watch
) -> str:
    """Return the digest of the tree of all objects below a prefix."""
    if address.archive or address.checksum:
        raise BadArgument(
            f"'{address.shown}' ends with '/', so it is no archive and no single file"
        )
    objects = _asked(address, lambda: files.find(path, detail=True))
    names = {name: name[len(path) :] for name in objects if not name.endswith("/")}
    origin = f"bucket {path} " + " ".join(
        f"{name} {objects[name].get('ETag')}" for name in sorted(names)
    )
    found = known(cache, origin, whole="yes")
    if found is not None:
        return found
    if not names:
        raise BadArgument(f"'{address.shown}' has no objects below it")

    def counted(name: str) -> Iterator[bytes]:
        for chunk in _chunks(files, name):
            watch.count(len(chunk))
            yield chunk

    with cache.staging(address.shown, watch.limits) as staging:
        for name, inner in sorted(names.items()):
            _asked(address, lambda n=name, i=inner: staging.file(i, counted(n)))
        digest = cache.keep(staging)
    cache.note(origin, {"whole": "yes", "digest": digest})
    return digest


def _chunks(files: Any, path: str) -> Iterator[bytes]:
    """Give the bytes of an object."""
    with files.open(path, "rb", block_size=_CHUNK, cache_type="readahead") as source:
        while chunk := source.read(_CHUNK):
            yield chunk


def _file_system(environ: Mapping[str, str], limits: Limits) -> Any:
    """Return S3 as fsspec sees it, with the run's credentials.

    Raises:
        BadArgument: s3fs is not installed.

    """
    try:
        import s3fs
    except ImportError:
        raise BadArgument(
            "sources in S3 need s3fs; pip install 'pybridge[s3]', or put 's3fs' into "
            "the requirements"
        ) from None
    region = _first(environ, _REGIONS)
    files = s3fs.S3FileSystem(
        key=environ.get("AWS_ACCESS_KEY_ID"),
        secret=environ.get("AWS_SECRET_ACCESS_KEY"),
        token=environ.get("AWS_SESSION_TOKEN"),
        endpoint_url=_first(environ, _ENDPOINTS),
        client_kwargs={"region_name": region} if region else {},
        config_kwargs={
            "connect_timeout": limits.connect_timeout,
            "read_timeout": limits.read_timeout,
            "retries": {"max_attempts": limits.retries + 1},
        },
        use_listings_cache=False,
    )
    files.retries = 1  # botocore's, told above, are enough
    return files


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """Return the first variable that has a value."""
    return next((environ[name] for name in names if environ.get(name)), None)


def _asked(address: Address, ask: Any) -> Any:
    """Return what S3 answers, its refusals as ours."""
    from pybridge.errors import BridgeError

    try:
        return ask()
    except BridgeError:
        raise
    except FileNotFoundError:
        raise BadArgument(f"'{address.shown}' is not there") from None
    except PermissionError as exc:
        raise BadArgument(
            f"'{address.shown}' is refused: {exc}; give secrets AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY"
        ) from None
    except Exception as exc:
        raise HostError(
            f"'{address.shown}' cannot be fetched: {type(exc).__name__}: {exc}"
        ) from None
