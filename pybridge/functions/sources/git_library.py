"""Dulwich as the one that fetches a commit, where there is no git program."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import dulwich.client
import dulwich.errors
import dulwich.repo
import urllib3

from pybridge.errors import BadArgument, BridgeError, HostError
from pybridge.functions.sources.git import SECRETS, Entry, credentials
from pybridge.functions.sources.web import proxy_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pybridge.functions.sources.address import Address
    from pybridge.functions.sources.download import Watch

__all__ = ["Library"]


class Library:
    """A repository elsewhere, asked by dulwich in a bare repository of its own."""

    def __init__(
        self,
        address: Address,
        directory: Path,
        environ: Mapping[str, str],
        watch: Watch,
    ) -> None:
        self._address = address
        self._watch = watch
        parts = urlsplit(address.url)
        if parts.scheme == "git":
            raise BadArgument(
                f"'{address.shown}' needs the git program, which is not installed; "
                "install it, or use git+https://"
            )
        self._client: Any
        self._pool: Any = None
        self._answers: list[Any] = []
        self._path = unquote(parts.path)
        if parts.scheme == "file":
            self._client = dulwich.client.LocalGitClient()
        else:
            self._pool = _pool(address.url, environ, watch)
            user, password = credentials(environ) or (None, None)
            self._client = _Client(
                f"{parts.scheme}://{parts.netloc}/",
                pool_manager=self._pool,
                username=user,
                password=password,
            )
            self._client.watch = watch
            _record(self._pool, self._answers)
        self._repository: Any = dulwich.repo.Repo.init_bare(str(directory))

    def references(self, wanted: str | None) -> dict[str, str]:
        """Return the references of a name, all for None, with what they point to."""
        told = self._asked(lambda: self._client.get_refs(self._path.encode()))
        refs = getattr(told, "refs", told)
        found = {name.decode(): value.decode() for name, value in refs.items() if value}
        for main in ("refs/heads/main", "refs/heads/master"):
            if main in found:  # a server that only has files does not say what is HEAD
                found.setdefault("HEAD", found[main])
        if wanted is None:
            return found
        ends = (wanted, f"{wanted}^{{}}")
        return {
            n: v
            for n, v in found.items()
            if n in ends or n.endswith(tuple(f"/{end}" for end in ends))
        }

    def obtain(self, commit: str, reference: str | None) -> str:  # noqa: ARG002
        """Fetch a commit, by itself where the other side can, and return its name."""
        if len(commit) >= 40:
            try:
                self._fetch([commit.encode()], depth=1)
            except (BadArgument, HostError):
                pass  # not every server gives one commit: then it is all of them
            else:
                found = self._find(commit)
                if found is not None:
                    return found
        every = self.references(None).values()
        self._fetch(sorted({value.encode() for value in every}), depth=None)
        found = self._find(commit)
        if found is None:
            raise BadArgument(f"'{self._address.shown}' has no commit '{commit}'")
        return found

    def entries(self, commit: str) -> Iterator[Entry]:
        """Give the files of a commit that was fetched."""
        objects = self._repository.object_store
        for entry in objects.iter_tree_contents(objects[commit.encode()].tree):
            blob = stat.S_ISREG(entry.mode) or stat.S_ISLNK(entry.mode)
            content = [objects[entry.sha].as_raw_string()] if blob else []
            name = entry.path.decode(errors="surrogateescape")
            yield Entry(entry.mode, name, content)

    def close(self) -> None:
        """Let go of what is open."""
        self._repository.close()
        if self._pool is not None:
            for answer in self._answers:
                answer.close()
            self._pool.clear()

    def _fetch(self, wanted: list[bytes], depth: int | None) -> None:
        def wants(*_: Any, **__: Any) -> list[bytes]:
            store = self._repository.object_store
            return [digest for digest in wanted if digest not in store]

        self._asked(
            lambda: self._client.fetch(
                self._path.encode(),
                self._repository,
                determine_wants=wants,
                depth=depth,
            )
        )

    def _find(self, commit: str) -> str | None:
        """Return the whole name of a commit that is here, or None; follow tags."""
        store = self._repository.object_store
        if len(commit) >= 40:
            found = [commit.encode()] if commit.encode() in store else []
        else:
            found = [name for name in store if name.startswith(commit.encode())]
        commits = {self._peeled(name) for name in found} - {None}
        return commits.pop() if len(commits) == 1 else None

    def _peeled(self, name: bytes) -> str | None:
        """Return the commit that an object is, or that a tag points to."""
        store = self._repository.object_store
        while store[name].type_name == b"tag":
            name = store[name].object[1]
        return name.decode() if store[name].type_name == b"commit" else None

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """Return what the other side answers, its refusals as ours."""
        shown = self._address.shown
        try:
            return ask()
        except BridgeError:
            raise
        except dulwich.errors.NotGitRepository:
            raise BadArgument(
                f"'{shown}' cannot be fetched: there is no repository"
            ) from None
        except dulwich.client.HTTPUnauthorized:
            raise BadArgument(
                f"'{shown}' cannot be fetched: the site wants to know who asks; give a "
                f"secret {SECRETS[0]}, or GIT_USERNAME and {SECRETS[1]}"
            ) from None
        except Exception as exc:
            raise HostError(
                f"'{shown}' cannot be fetched: {type(exc).__name__}: {exc}"
            ) from None


class _Client(dulwich.client.HttpGitClient):  # type: ignore[misc,unused-ignore]
    """A client that counts what comes."""

    watch: Watch

    def _http_request(self, *args: Any, **kwargs: Any) -> Any:
        response, read = super()._http_request(*args, **kwargs)

        def counted(*size: int) -> bytes:
            chunk: bytes = read(*size)
            self.watch.count(len(chunk))
            return chunk

        return response, counted


def _record(pool: Any, answers: list[Any]) -> None:
    """Note all answers that connections give: dulwich leaves those of errors open."""
    opening = pool.urlopen

    def opened(*args: Any, **kwargs: Any) -> Any:
        answers.append(opening(*args, **kwargs))
        return answers[-1]

    pool.urlopen = opened


def _pool(url: str, environ: Mapping[str, str], watch: Watch) -> Any:
    """Return the connections to ask a repository by: the run's proxy, and in time."""
    limits = watch.limits
    told: dict[str, Any] = {
        "timeout": urllib3.Timeout(limits.connect_timeout, limits.read_timeout),
        "retries": urllib3.Retry(limits.retries, backoff_factor=0.2),
        "headers": {"User-Agent": "git/pybridge"},
    }
    for name in ("GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        if environ.get(name):
            told["ca_certs"] = environ[name]
            break
    proxy = proxy_of(url, environ)
    if proxy is None:
        return urllib3.PoolManager(**told)
    who = urlsplit(proxy)
    if who.username is not None:
        pair = f"{unquote(who.username)}:{unquote(who.password or '')}"
        told["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=pair)
    return urllib3.ProxyManager(proxy, **told)
