"""Git's own program as the one that fetches a commit."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pybridge.errors import BadArgument, HostError, TooLarge
from pybridge.functions.sources.git import SECRETS, Entry, credentials

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import IO

    from pybridge.functions.sources.address import Address
    from pybridge.functions.sources.download import Watch

__all__ = ["Program"]

_CHUNK = 64 * 1024
_BLOCK = 512  # what `ulimit -f` counts in
_LIMITED = ("sh", "-c", 'ulimit -f "$1"; shift; exec "$@"', "sh")
_OPTIONS = (
    "gc.auto=0",
    "maintenance.auto=false",
    "core.hooksPath=/dev/null",
    "fetch.recurseSubmodules=false",
    "advice.detachedHead=false",
)
# A helper that says who asks; git calls it for this one site only.
_HELPER = (
    "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' "
    '"$PYBRIDGE_GIT_USER" "$PYBRIDGE_GIT_PASSWORD"; }; f'
)
_REFUSED = ("Authentication failed", "could not read Username", "403", "401")
_ABSENT = ("not found", "does not appear to be", "does not exist", "404")


class Program:
    """A repository elsewhere, asked by `git` in a bare repository of its own."""

    def __init__(
        self,
        address: Address,
        directory: Path,
        environ: Mapping[str, str],
        watch: Watch,
    ) -> None:
        self._address = address
        self._directory = directory
        self._watch = watch
        self._environ = _environment(address.url, environ)
        options = list(_OPTIONS)
        options.append(f"http.lowSpeedTime={int(watch.limits.read_timeout) or 1}")
        options.append("http.lowSpeedLimit=1")
        self._git = ["git", *(part for text in options for part in ("-c", text))]

    def references(self, wanted: str | None) -> dict[str, str]:
        """Return the references of a name, all for None, with what they point to."""
        patterns = [] if wanted is None else [wanted, f"{wanted}^{{}}"]
        told = self._run("ls-remote", "--quiet", self._address.url, *patterns)
        lines = (line.split("\t", 1) for line in told.decode().splitlines())
        return {line[1]: line[0] for line in lines if len(line) == 2}

    def obtain(self, commit: str, reference: str | None) -> str:
        """Fetch a commit, by itself where the other side can, and return its name."""
        whole = ["+refs/heads/*:refs/all/heads/*", "+refs/tags/*:refs/all/tags/*"]
        self._begin()
        alone = [commit] if len(commit) >= 40 else []
        for wanted in [*alone, *([reference] if reference else [])]:
            try:
                self._fetch("--depth=1", wanted)
            except (BadArgument, HostError):
                continue  # not every server gives one commit: then it is all of them
            found = self._find(commit)
            if found is not None:
                return found
        shallow = (self._directory / "shallow").exists()
        self._fetch(*(["--unshallow"] if shallow else []), *whole)
        found = self._find(commit)
        if found is None:
            raise BadArgument(f"'{self._address.shown}' has no commit '{commit}'")
        return found

    def entries(self, commit: str) -> Iterator[Entry]:
        """Give the files of a commit that was fetched."""
        told = self._run("ls-tree", "-r", "-z", "--full-tree", commit)
        with self._start("cat-file", "--batch", stdin=subprocess.PIPE) as process:
            for line in filter(None, told.split(b"\0")):
                about, _, name = line.partition(b"\t")
                mode, kind, digest = about.split()
                content = _content(process, digest) if kind == b"blob" else iter(())
                yield Entry(
                    int(mode, 8), name.decode(errors="surrogateescape"), content
                )

    def _begin(self) -> None:
        """Make an empty repository, without hooks and the like of a template."""
        if not (self._directory / "HEAD").exists():
            for name in ("objects", "refs"):
                (self._directory / name).mkdir()
            (self._directory / "HEAD").write_text("ref: refs/heads/none\n")

    def close(self) -> None:
        """Let go of what is open, which nothing is."""

    def _fetch(self, *arguments: str) -> None:
        depth = [text for text in arguments if text.startswith("--")]
        wanted = [text for text in arguments if not text.startswith("--")]
        quiet = ("--quiet", "--no-tags", "--no-write-fetch-head")
        self._run("fetch", *quiet, *depth, "--", self._address.url, *wanted)

    def _find(self, commit: str) -> str | None:
        """Return the whole name of a commit that is here, or None."""
        try:
            told = self._run("rev-parse", "--quiet", "--verify", f"{commit}^{{commit}}")
        except (BadArgument, HostError):
            return None
        return told.decode().strip()

    def _run(self, *arguments: str) -> bytes:
        """Run git and return what it prints.

        Raises:
            BadArgument: it refuses.
            HostError: the other side is not there, or takes too long.
            TooLarge: more comes than the limits allow.

        """
        with self._start(*arguments) as process:
            try:
                told, words = process.communicate(timeout=self._watch.left())
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                self._watch.left()
                raise
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        if process.returncode:
            raise self._failure(words.decode(errors="replace"), process.returncode)
        return told

    def _start(
        self, *arguments: str, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        limited: list[str] = []
        if arguments[0] == "fetch":
            blocks = self._watch.limits.max_download // _BLOCK + 1
            limited = [*_LIMITED, str(blocks)]
        return subprocess.Popen(  # noqa: S603 - the words are ours, or after a `--`
            [*limited, *self._git, *arguments],
            cwd=self._directory,
            env=self._environ,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def _failure(self, words: str, code: int) -> Exception:
        """Return what git's last words mean."""
        shown = self._address.shown
        xfsz = int(signal.SIGXFSZ)
        if code == -xfsz or f"signal {xfsz}" in words:
            return TooLarge(
                f"'{shown}' is refused: its pack is longer than "
                f"{self._watch.limits.max_download} bytes; raise max_download in "
                "[functions.sources]"
            )
        lines = [line.strip() for line in words.splitlines() if line.strip()]
        told = " ".join(lines[-3:]) or f"git ended with {code}"
        message = f"'{shown}' cannot be fetched: {told}"
        if any(sign in words for sign in _REFUSED):
            cure = f"give a secret {SECRETS[0]}, or GIT_USERNAME and {SECRETS[1]}"
            return BadArgument(f"{message}; {cure}")
        if any(sign in words for sign in _ABSENT):
            return BadArgument(message)
        return HostError(message)


def _content(process: subprocess.Popen[bytes], digest: bytes) -> Iterator[bytes]:
    """Give the bytes of a blob, as `cat-file --batch` prints them."""
    stdin, stdout = _pipes(process)
    stdin.write(digest + b"\n")
    stdin.flush()
    left = int(stdout.readline().rsplit(b" ", 1)[1])
    while left:
        chunk = stdout.read(min(left, _CHUNK))
        if not chunk:
            raise HostError("git ended while it gave a file")
        left -= len(chunk)
        yield chunk
    stdout.read(1)


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise HostError("git has no pipes")
    return process.stdin, process.stdout


def _environment(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return git's environment: it asks nobody, and knows who asks."""
    env = {**os.environ, **environ}
    for name in [name for name in env if name.startswith("GIT_")]:
        if name not in {"GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_NO_VERIFY"}:
            del env[name]
    env.update(GIT_TERMINAL_PROMPT="0", GIT_ASKPASS="true", LC_ALL="C")
    who = credentials(environ)
    if who is not None:
        parts = urlsplit(url)
        env["PYBRIDGE_GIT_USER"], env["PYBRIDGE_GIT_PASSWORD"] = who
        env.update(
            GIT_CONFIG_COUNT="2",
            GIT_CONFIG_KEY_0="credential.helper",
            GIT_CONFIG_VALUE_0="",
            GIT_CONFIG_KEY_1=f"credential.{parts.scheme}://{parts.netloc}.helper",
            GIT_CONFIG_VALUE_1=_HELPER,
        )
    return env
