"""Sources in git: the files of one commit, by the git program or by dulwich.

The program comes first: it knows every transport and time-out, and the user's own
settings. Where it is not installed, dulwich does the same. A commit is fetched once;
a branch or tag costs one question each time.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pybridge.errors import BadArgument
from pybridge.functions.sources.cache import PARTIAL
from pybridge.functions.sources.download import Watch, known

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pybridge.functions.sources.address import Address
    from pybridge.functions.sources.cache import Cache
    from pybridge.functions.sources.limits import Limits

__all__ = ["SECRETS", "Entry", "Repository", "credentials", "fetch"]

SECRETS = ("GIT_TOKEN", "GIT_PASSWORD")
_USERS = ("GIT_USERNAME", "GIT_USER")
_OAUTH = ("github_pat_", "glpat")
_COMMIT = re.compile(r"^[0-9a-f]{40}([0-9a-f]{24})?$")
_ABBREVIATED = re.compile(r"^[0-9a-f]{4,39}$")
_LINK, _SUBMODULE, _EXECUTABLE = 0o120000, 0o160000, 0o100755


class Entry(NamedTuple):
    """A file of a commit."""

    mode: int
    name: str
    content: Iterable[bytes]


class Repository(Protocol):
    """What is asked of a repository elsewhere, whoever asks it."""

    def references(self, wanted: str | None) -> dict[str, str]:
        """Return the references of a name, all for None, with what they point to."""

    def obtain(self, commit: str, reference: str | None) -> str:
        """Fetch a commit, also an abbreviated one, and return its whole name.

        Raises:
            BadArgument: there is no such commit.

        """

    def entries(self, commit: str) -> Iterator[Entry]:
        """Give the files of a commit that was fetched."""

    def close(self) -> None:
        """Let go of what is open."""


def fetch(
    address: Address, cache: Cache, environ: Mapping[str, str], limits: Limits
) -> str:
    """Return the digest of the tree of a commit.

    Raises:
        BadArgument: there is no such repository, branch, tag or commit, or it is
            refused.
        HostError: the repository is not there.

    """
    ref = address.ref
    if ref is not None and _COMMIT.match(ref):
        found = _known(cache, address, ref)
        if found is not None:
            return found
    cache.path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.path, prefix=PARTIAL) as directory:
        watch = Watch(address.shown, limits)
        repository = _repository(address, Path(directory), environ, watch)
        with contextlib.closing(repository):
            return _fetch(repository, address, cache, watch)


def _fetch(repository: Repository, address: Address, cache: Cache, watch: Watch) -> str:
    """Return the digest of the tree of the commit that is meant now."""
    commit, reference = _resolve(repository, address)
    found = _known(cache, address, commit)
    if found is not None:
        return found
    commit = repository.obtain(commit, reference)
    found = _known(cache, address, commit)
    if found is not None:
        return found
    with cache.staging(address.shown, watch.limits) as staging:
        for mode, name, content in repository.entries(commit):
            watch.left()
            if mode == _LINK:
                target = b"".join(content)
                staging.link(name, target.decode(errors="surrogateescape"))
            elif mode != _SUBMODULE:
                staging.file(name, content, executable=mode == _EXECUTABLE)
        digest = cache.keep(staging)
    cache.note(f"git {address.url} {commit}", {"commit": commit, "digest": digest})
    return digest


def _known(cache: Cache, address: Address, commit: str) -> str | None:
    return known(cache, f"git {address.url} {commit}", commit=commit)


def _resolve(repository: Repository, address: Address) -> tuple[str, str | None]:
    """Return what commit an address means, and the reference it has that from."""
    ref = address.ref
    if ref is not None and _COMMIT.match(ref):
        return ref, None
    there = repository.references(ref or "HEAD")
    if ref is None:
        if "HEAD" not in there:
            raise BadArgument(f"'{address.shown}' has no commits")
        return there["HEAD"], "HEAD"
    for name in (f"refs/heads/{ref}", f"refs/tags/{ref}", ref, f"refs/{ref}"):
        if name in there:
            return there.get(f"{name}^{{}}", there[name]), name
    if _ABBREVIATED.match(ref):
        return ref, None
    raise BadArgument(_absent(ref, repository, address))


def _absent(ref: str, repository: Repository, address: Address) -> str:
    """Say that there is no such branch or tag, and which one was perhaps meant."""
    from pybridge.functions.faults import nearest

    names = [
        name.split("/", 2)[2]
        for name in repository.references(None)
        if name.startswith(("refs/heads/", "refs/tags/")) and not name.endswith("^{}")
    ]
    near = nearest(ref, names)
    hint = f"did you mean '{near}'?" if near else f"there are: {', '.join(names[:10])}"
    return f"'{address.shown}' has no branch, tag or commit '{ref}'; {hint}"


def _repository(
    address: Address, directory: Path, environ: Mapping[str, str], watch: Watch
) -> Repository:
    """Return the repository of an address, as the program or the library sees it.

    Raises:
        BadArgument: neither of them is installed.

    """
    if which("git") is not None:
        from pybridge.functions.sources.git_program import Program

        return Program(address, directory, environ, watch)
    try:
        from pybridge.functions.sources.git_library import Library
    except ImportError:
        raise BadArgument(
            "sources in git need the git program or dulwich; install one of them, or "
            "put 'dulwich' into the requirements"
        ) from None
    return Library(address, directory, environ, watch)


def credentials(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the user and password that a repository is asked with."""
    token = environ.get("GIT_TOKEN")
    if token:
        oauth = token.startswith(_OAUTH)
        return ("oauth2", token) if oauth else (token, "x-oauth-basic")
    user = next((environ[name] for name in _USERS if environ.get(name)), None)
    return None if user is None else (user, environ.get("GIT_PASSWORD", ""))
