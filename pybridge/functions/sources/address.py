"""Addresses of sources: what a `code_src` means, and which of its parts is secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from urllib.parse import SplitResult

__all__ = ["Address", "parse"]

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_DIGEST = re.compile(r"^[0-9a-f]{64}$")
_CHECKSUM = "sha256="

# scheme -> (kind, what the remote side is asked by, is it an archive)
_SCHEMES: dict[str, tuple[str, str, bool]] = {
    "file": ("local", "file", False),
    "git": ("git", "https", False),
    "git+https": ("git", "https", False),
    "git+http": ("git", "http", False),
    "git+file": ("git", "file", False),
    "http": ("web", "http", False),
    "https": ("web", "https", False),
    "zip+http": ("web", "http", True),
    "zip+https": ("web", "https", True),
    "zip+file": ("local", "file", True),
    "s3": ("bucket", "s3", False),
    "s3a": ("bucket", "s3", False),
    "s3n": ("bucket", "s3", False),
    "zip+s3": ("bucket", "s3", True),
    "zip+s3a": ("bucket", "s3", True),
    "zip+s3n": ("bucket", "s3", True),
}


class Address(NamedTuple):
    """A parsed `code_src`.

    `kind` is local, git, web or bucket; `url` what is asked for, without the fragment;
    `ref` git's branch, tag or commit; `checksum` the sha256 that the bytes have to
    have; `shown` the address without anything secret, for people.
    """

    kind: str
    url: str
    ref: str | None
    checksum: str | None
    archive: bool
    shown: str

    def verify(self, sha256: str) -> None:
        """Compare bytes that came with the checksum that the address has.

        Raises:
            BadArgument: it has another one.

        """
        if self.checksum not in {None, sha256}:
            raise BadArgument(
                f"'{self.shown}' is refused: its sha256 is {sha256}, not "
                f"{self.checksum}; it was changed, or the checksum is wrong"
            )

    @property
    def filename(self) -> str:
        """Return the last component of the path, "" where there is none."""
        if self.kind == "local":
            return self.url.rstrip("/").rpartition("/")[2]
        return unquote(urlsplit(self.url).path).rstrip("/").rpartition("/")[2]


def parse(code_src: str) -> Address:
    """Return what a `code_src` means; a text without scheme is a local path.

    Raises:
        BadArgument: the scheme is unknown, or the address lacks something.

    """
    found = _SCHEME.match(code_src)
    if found is None:
        if not code_src.strip():
            raise BadArgument("code_src is empty; give a path or an address")
        if "\0" in code_src:
            raise BadArgument("code_src has a NUL character in it")
        archive = code_src.endswith(".zip")
        return Address("local", code_src, None, None, archive, code_src)
    scheme = found.group(1).lower()
    if scheme not in _SCHEMES:
        raise BadArgument(_unknown(scheme))
    if any(ord(letter) <= 32 or ord(letter) == 127 for letter in code_src):
        raise BadArgument(
            "code_src has a space or a control character in it; write a space as %20"
        )
    try:
        parts = urlsplit(code_src)
        _ = parts.port
    except ValueError as exc:
        raise BadArgument(f"code_src is not an address: {exc}") from None
    return _parsed(scheme, parts)


def _parsed(scheme: str, parts: SplitResult) -> Address:
    """Return the address of a known scheme."""
    kind, transport, archive = _SCHEMES[scheme]
    shown = f"{parts.scheme}://{_without_user(parts)}{parts.path}"
    if transport == "file":
        if parts.netloc not in {"", "localhost"}:
            raise BadArgument(
                f"code_src '{shown}' names the host '{_without_user(parts)}'; a path "
                f"of this machine is written {scheme}:///path"
            )
    elif not parts.hostname:
        raise BadArgument(f"code_src '{shown}' names no host")
    if parts.password:
        raise BadArgument(
            f"code_src '{shown}' holds a password, which would be stored with the "
            f"function; leave it out and give it as a secret named {_cure(kind)}"
        )
    if not parts.path.strip("/"):
        raise BadArgument(f"code_src '{shown}' names no path")
    fragment = unquote(parts.fragment)
    if kind == "git":
        return _git(scheme, transport, parts, shown, fragment)
    if kind == "local":
        path = unquote(parts.path)
        archive = archive or path.endswith(".zip")
        return Address(kind, path, None, _checksum(fragment, shown), archive, shown)
    archive = archive or parts.path.endswith(".zip")
    url = urlunsplit((transport, parts.netloc, parts.path, parts.query, ""))
    return Address(kind, url, None, _checksum(fragment, shown), archive, shown)


def _git(
    scheme: str, transport: str, parts: SplitResult, shown: str, fragment: str
) -> Address:
    """Return the address of a repository.

    `git://` without a port is asked by https, as its users mean it; with one, it is
    git's own protocol.
    """
    if scheme == "git" and parts.port is not None:
        transport = "git"
    if fragment.startswith("-"):
        raise BadArgument(
            f"'{fragment}' of code_src '{shown}' is not a branch, tag or commit"
        )
    if any(ord(letter) <= 32 or letter in '~^:?*[\\"' for letter in fragment):
        raise BadArgument(
            f"{fragment!r} of code_src '{shown}' is not a branch, tag or commit"
        )
    url = urlunsplit((transport, parts.netloc, parts.path, parts.query, ""))
    return Address("git", url, fragment or None, None, False, shown)


def _checksum(fragment: str, shown: str) -> str | None:
    """Return the sha256 that an address is given with."""
    if not fragment:
        return None
    value = fragment[len(_CHECKSUM) :].lower()
    if not fragment.startswith(_CHECKSUM) or not _DIGEST.match(value):
        raise BadArgument(
            f"'#{fragment}' of code_src '{shown}' is not a checksum; write "
            "#sha256= and 64 hexadecimal digits"
        )
    return value


def _without_user(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _cure(kind: str) -> str:
    """Say by which variables an origin is told who asks."""
    return {
        "git": "GIT_TOKEN, or GIT_USERNAME and GIT_PASSWORD",
        "web": "SOURCE_TOKEN, or SOURCE_USERNAME and SOURCE_PASSWORD",
    }.get(kind, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")


def _unknown(scheme: str) -> str:
    """Say what is wrong with a scheme, and which one was perhaps meant."""
    from difflib import get_close_matches

    near = get_close_matches(scheme, _SCHEMES, 1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return (
        f"code_src has the unknown scheme '{scheme}'; {hint}a local path is written "
        f"without one, else: {', '.join(_SCHEMES)}"
    )
