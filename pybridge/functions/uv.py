"""uv: the program that makes environments, with pip's settings where it has none."""

from __future__ import annotations

import configparser
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from pybridge.errors import HostError, Unsupported
from pybridge.functions import processes
from pybridge.masking import mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Tool", "installs", "program", "settings"]

_PAUSE = 0.05
_LONGEST = 700  # characters of uv's words in a message; all of them are in the log
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OFFLINE = (
    "error sending request",
    "dns error",
    "failed to lookup address",
    "network is unreachable",
    "connection refused",
    "timed out",
    "connect error",
    "tcp connect",
)
# pip's setting -> uv's variable.
_OF_PIP = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
}
_INSTALLS = re.compile(r"(?:RUN\s+)?(?:python3?\s+-m\s+|uv\s+)?pip3?\s+install\s+(.*)")


def program() -> str:
    """Return the path of uv.

    Raises:
        Unsupported: it is not installed.

    """
    places = [
        Path(sysconfig.get_path("scripts"), "uv"),
        Path(sys.prefix, "bin", "uv"),
        Path(sys.base_prefix, "bin", "uv"),
        Path.home() / ".local/bin/uv",
    ]
    for place in places:
        if os.access(str(place), os.X_OK):
            return str(place)
    found = shutil.which("uv")
    if found is None:
        raise Unsupported(
            "an environment is needed, and uv, which makes them, is not installed; "
            "pip install 'pybridge[functions]'"
        )
    return found


def installs(line: str) -> Optional[str]:
    """Return what pip is to install by an instruction; None where it is another one."""
    found = _INSTALLS.fullmatch(line.strip())
    return None if found is None else found[1]


class Tool:
    """uv, for one environment: its words go to the log, its errors into messages."""

    def __init__(
        self,
        say: Callable[[str], None],
        stopped: Callable[[], bool],
        requirements: Sequence[str],
        environ: Optional[Mapping[str, str]] = None,
    ) -> None:
        """Take where its words go, who may stop it, what is required, its settings."""
        self._say = say
        self._stopped = stopped
        self._requirements = requirements
        self._program = program()
        self._environ = settings(os.environ if environ is None else environ)

    def run(self, *words: str) -> None:
        """Run it; without the network, if there is none, on what it has seen before.

        Raises:
            HostError: it fails; the message has its words.
            Stopped: who wanted the environment wants it no more.

        """
        code, told = self._spawn([self._program, *words])
        if code and any(sign in told.lower() for sign in _OFFLINE):
            self._say("there is no network; trying with what uv has in its cache")
            code, _ = self._spawn([self._program, "--offline", *words])
        if code:
            raise HostError(self._message(told))

    def instruct(self, line: str, path: Path) -> None:
        """Do what an instruction says, in the environment: pip's, or a command.

        Raises:
            HostError: it fails.

        """
        import shlex

        found = _INSTALLS.fullmatch(line.strip())
        if found is not None:
            python = str(path / "bin" / "python")
            self.run("pip", "install", "--python", python, *shlex.split(found[1]))
            return
        self._say(f"instruction: {line}")
        environ = {
            **self._environ,
            "VIRTUAL_ENV": str(path),
            "PATH": f"{path / 'bin'}:{os.environ.get('PATH', os.defpath)}",
        }
        text = line.strip().removeprefix("RUN ")
        code, told = self._spawn(["/bin/sh", "-ec", text], environ, path)
        if code:
            words = " ".join(told.split())[-_LONGEST:]
            raise HostError(
                f"instruction '{line}' failed with exit status {code}: {words}"
            )

    def _spawn(
        self,
        words: list[str],
        environ: Optional[dict[str, str]] = None,
        folder: Optional[Path] = None,
    ) -> tuple[int, str]:
        """Run a program until it ends or is not wanted; return its code and words."""
        from pybridge.functions.environments import Stopped

        parent = os.getpid()
        processes.libc()  # not to be looked for between fork and exec
        process = subprocess.Popen(  # noqa: S603 - uv, by its path
            words,
            env=environ or self._environ,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: processes.die_with(parent),  # noqa: PLW1509 - a call of C
        )
        told: list[str] = []
        try:
            for line in self._lines(process):
                told.append(line)
                self._say(line)
            if self._stopped():
                raise Stopped
            return process.wait(), "\n".join(told)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def _lines(self, process: subprocess.Popen[bytes]) -> Iterator[str]:
        """Yield what it writes until its end, looking whether it is still wanted."""
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not self._stopped():
                if not selector.select(_PAUSE):
                    continue
                data = os.read(process.stdout.fileno(), 1 << 16)
                if not data:
                    break
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield mask(line.decode("utf-8", "replace")).rstrip()
        if rest.strip():
            yield mask(rest.decode("utf-8", "replace")).rstrip()

    def _message(self, told: str) -> str:
        """Return why there is no environment: the requirement, and uv's words."""
        words = " ".join(re.sub(r"[^\x20-\x7e\n]+", " ", told).split())
        words = re.sub(r"^error:\s*", "", words)
        if len(words) > _LONGEST:
            words = words[: _LONGEST - 3] + "..."
        culprit = self._culprit(told)
        of = f" for requirement '{culprit}'" if culprit else ""
        return f"the environment cannot be made{of}: {words or 'uv failed'}"

    def _culprit(self, told: str) -> Optional[str]:
        """Return the requirement that uv speaks of."""
        lower = told.lower().replace("_", "-")
        for one in self._requirements:
            name = _NAME.match(one.strip())
            if name and re.search(
                rf"(?<![\w-]){re.escape(name[0].lower().replace('_', '-'))}(?![\w-])",
                lower,
            ):
                return one
        return None


def settings(given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that uv runs in."""
    environ = {
        name: value
        for name, value in given.items()
        if name not in {"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME"}
    }
    environ.update(NO_COLOR="1", UV_NO_PROGRESS="1")
    for name, value in _settings_of_pip(given).items():
        if name not in environ:
            environ[name] = value
            environ.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")  # as pip does
    return environ


def _settings_of_pip(environ: Mapping[str, str]) -> dict[str, str]:
    """Return where pip looks for packages, as variables of uv."""
    parser = configparser.RawConfigParser()
    config = environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    files = [
        Path("/etc/pip.conf"),
        Path.home() / ".pip/pip.conf",
        Path(config) / "pip/pip.conf",
        Path(sys.prefix) / "pip.conf",
    ]
    named = environ.get("PIP_CONFIG_FILE")
    if named:
        files.append(Path(named))
    try:
        parser.read([str(file) for file in files], encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return {}
    found = {}
    for key, variable in _OF_PIP.items():
        value = environ.get("PIP_" + key.upper().replace("-", "_"))
        for section in ("global", "install"):
            value = value or parser.get(section, key, fallback=None)
        if value:
            places = [place for place in value.split() if _is_there(place)]
            separator = "," if variable == "UV_FIND_LINKS" else " "
            if places:
                found[variable] = separator.join(places)
    return found


def _is_there(place: str) -> bool:
    """Tell whether a place can be asked: uv stops at a directory that is missing."""
    path = place.removeprefix("file://")
    return "://" in path or Path(path).exists()
