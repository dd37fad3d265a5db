"""Downloads: bytes from elsewhere in a file of their own, counted, timed and hashed."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pybridge.errors import HostError, TooLarge
from pybridge.functions.sources import archive, text
from pybridge.functions.sources.cache import PARTIAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pybridge.functions.sources.address import Address
    from pybridge.functions.sources.cache import Cache
    from pybridge.functions.sources.limits import Limits

__all__ = ["Download", "Watch", "download", "known"]


class Watch:
    """The limits of one fetch: what may come, and until when."""

    def __init__(self, shown: str, limits: Limits) -> None:
        self.shown = shown
        self.limits = limits
        self._until = time.monotonic() + limits.timeout
        self._bytes = 0

    def left(self) -> float:
        """Return the seconds that are left.

        Raises:
            HostError: there are none.

        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise HostError(
                f"'{self.shown}' was not there after {self.limits.timeout:g} s; "
                "raise timeout in [functions.sources]"
            )
        return left

    def count(self, size: int) -> None:
        """Count bytes that came.

        Raises:
            TooLarge: they are more than the limits allow.
            HostError: there is no time left.

        """
        self._bytes += size
        self.left()
        if self._bytes > self.limits.max_download:
            raise TooLarge(
                f"'{self.shown}' is refused: it is longer than "
                f"{self.limits.max_download} bytes; raise max_download in "
                "[functions.sources]"
            )


class Download:
    """A file with what came, until the end of its block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sha256 = ""

    def write(self, chunks: Iterable[bytes], watch: Watch) -> None:
        """Write what comes, from the beginning."""
        digest = hashlib.sha256()
        with self.path.open("wb") as file:
            for chunk in chunks:
                watch.count(len(chunk))
                digest.update(chunk)
                file.write(chunk)
        self.sha256 = digest.hexdigest()

    def keep(self, address: Address, cache: Cache, limits: Limits) -> str:
        """Make a tree of what came, and return its digest.

        Raises:
            BadArgument: it has not the checksum, or is refused.

        """
        address.verify(self.sha256)
        with cache.staging(address.shown, limits, strict=address.archive) as staging:
            if address.archive:
                archive.unpack(self.path, staging)
            else:
                content = self.path.read_bytes()
                text.verify(content, f"'{address.shown}'")
                staging.file(text.filename(address.filename), [content])
            return cache.keep(staging)


@contextlib.contextmanager
def download(cache: Cache) -> Iterator[Download]:
    """Give a file to download into; it is gone afterwards."""
    cache.path.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=cache.path, prefix=PARTIAL) as file:
        yield Download(Path(file.name))


def known(cache: Cache, origin: str, **facts: str | None) -> str | None:
    """Return the digest of an origin's tree if these facts about it were noted."""
    noted = cache.recall(origin)
    for name, value in facts.items():
        if value is None or noted.get(name) != value:
            return None
    digest = noted.get("digest")
    return digest if isinstance(digest, str) and cache.find(digest) else None
