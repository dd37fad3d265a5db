"""The process of a build: python -m pybridge.functions.build --store R --run K.

It makes the environment of a function, locked, and writes what a registry's image is
built from; then the function has that environment as its image.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from pybridge.errors import BadArgument, Unsupported
from pybridge.functions import trail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pybridge.functions.environments import Environment
    from pybridge.functions.run import Run
    from pybridge.functions.store import Store

__all__ = ["MODES", "Instructions", "main", "sorted_out"]

MODES = ("record", "run", "refuse")
_ROOT_MODES = ("warn", "refuse", "allow")


class Instructions(NamedTuple):
    """What becomes of the instructions of a build on this machine."""

    requirements: tuple[str, ...]  # packages that they install: locked with the others
    applied: tuple[str, ...]  # done in the environment
    recorded: tuple[str, ...]  # for the image alone


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Build a run's function; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pybridge.functions.build", description="Build a function."
    )
    parser.add_argument("--store", required=True, help="the directory of the store")
    parser.add_argument("--run", required=True, help="the key of the run")
    parser.add_argument("--attempt", type=int, default=1)
    parser.add_argument("--more", action="store_true", help="other attempts follow")
    given = parser.parse_args(argv)

    from pybridge.functions.run import Run
    from pybridge.functions.store import Store

    store = Store.open(given.store)
    entity = store.get(given.run)
    if entity is None:  # it was deleted meanwhile
        return 0
    return _Build(Run(entity, store), given.attempt, last=not given.more).go()


class _Terminated(BaseException):
    """The process was told to end."""


class _Build:
    """One attempt of a build."""

    def __init__(self, run: Run, attempt: int, *, last: bool) -> None:
        self.run = run
        self.store: Store = run.store
        self.spec: Mapping[str, Any] = run.spec.to_dict()
        self.attempt = attempt
        self.last = last
        self.reach("source")

    def reach(self, stage: str) -> None:
        """Begin a stage, and leave word of it."""
        self.stage = stage
        trail.note(stage)

    def go(self) -> int:
        """Do it, and write what came of it; return the exit status."""
        signal.signal(signal.SIGTERM, _terminate)
        moved = self.store.move(self.run.key, "RUNNING", attempt=self.attempt)
        if moved is None:
            return 0
        try:
            done = self.build()
        except _Terminated:
            return 1
        except BaseException as exc:
            from pybridge.functions import failure
            from pybridge.functions.manager import outcome

            told = failure.describe(exc, stage=self.stage, attempt=self.attempt)
            _say(outcome.line(told))
            outcome.record(self.store, self.run.key, told, self.last)
            return 1
        message = "; ".join(done["warnings"]) or None
        self.store.move(self.run.key, "COMPLETED", message=message, build=done)
        return 0

    def build(self) -> dict[str, Any]:
        """Make the environment and the context; return what the status says of them."""
        from pybridge.functions import dockerfile, sources

        began = time.monotonic()
        spec = self.spec
        warnings = []
        tree = sources.fetch(spec["source"], store=self.store, environ=os.environ)
        whole = self.store.root / "cache" / "sources" / "trees" / tree.digest
        self.reach("environment")
        base = spec.get("base_image")
        if dockerfile.may_be_root(base):
            warnings += _root(str(base))
        lines = tuple(spec.get("instructions") or ())
        told = sorted_out(lines, _setting("instructions", MODES))
        for line in told.recorded:
            warnings.append(
                f"instruction '{line}' is recorded in the Dockerfile only: there is no "
                "container here to run it in"
            )
        environment, hit = self._environment(told)
        self.reach("context")
        plan = dockerfile.Plan(
            name=_name(spec),
            python=_version(spec),
            source=tree.digest,
            lock=environment.lock,
            requirements=(*(spec.get("requirements") or ()), *told.requirements),
            instructions=lines,
            envs=tuple(spec.get("envs") or ()),
            base_image=base,
            pack=_pack(spec),
        )
        context = dockerfile.write(plan, whole, self.store)
        for warning in warnings:
            _say(f"warning: {warning}")
        self._write_back(environment.image)
        _say(f"environment: {environment.path}" + (" (was there)" if hit else ""))
        _say(f"context: {context.path}")
        return {
            "image": environment.image,
            "digest": environment.digest,
            "environment": str(environment.path),
            "lock": str(environment.path / "requirements.lock"),
            "context": str(context.path),
            "context_digest": context.digest,
            "dockerfile": str(context.dockerfile),
            "applied": [*told.applied, *_installing(lines)],
            "recorded": list(told.recorded),
            "warnings": warnings,
            "hit": hit,
            "seconds": round(time.monotonic() - began, 3),
        }

    def _environment(self, told: Instructions) -> tuple[Environment, bool]:
        """Return the environment, and whether it was there."""
        from pybridge.functions import environments, pythons, sources

        spec = self.spec
        requirements = (*(spec.get("requirements") or ()), *told.requirements)
        extra = (*environments.SERVICE, *sources.needs(spec["source"], here=False))
        parts = [spec.get("python_version"), requirements, extra, told.applied]
        memory = _Memory(self.store, parts)
        found = memory.recall()
        if found is not None:
            return found, True
        wanted = environments.Request(
            pythons.find(spec.get("python_version")), requirements, extra, told.applied
        )
        found = environments.find(wanted, store=self.store)
        made = found or environments.make(wanted, store=self.store, progress=_say)
        memory.keep(wanted.python.program, made.digest)
        return made, found is not None

    def _write_back(self, image: str) -> None:
        """Have the function run in that environment from now on."""
        from pybridge.functions import keys

        parsed = keys.parse_executable(str(self.spec["function"]))

        def edit(entity: dict[str, Any]) -> None:
            entity["spec"]["image"] = image

        key = str(parsed)
        found = self.store.get(key)
        if found is not None and found["spec"].get("image") != image:
            self.store.change(key, edit)


class _Memory:
    """Which environment came of what: to ask a Python what it is takes a process."""

    def __init__(self, store: Store, parts: Sequence[Any]) -> None:
        from pybridge.functions import environments

        self.store = store
        text = json.dumps([environments.BASE, sys.executable, *parts], default=list)
        name = hashlib.sha256(text.encode()).hexdigest()[:32]
        self.path = store.root / "cache" / "builds" / f"{name}.json"

    def recall(self) -> Optional[Environment]:
        """Return the environment; None where it, or its Python, is another by now."""
        from pybridge.functions import environments

        try:
            told = json.loads(self.path.read_text(encoding="utf-8"))
            if Path(told["program"]).stat().st_mtime_ns != told["changed"]:
                return None
            image = f"{environments.IMAGE}:{told['digest']}"
            return environments.of_image(image, store=self.store)
        except (OSError, ValueError, KeyError, BadArgument):
            return None

    def keep(self, program: Path, digest: str) -> None:
        """Keep it for the next time."""
        from pybridge.functions.files import replacing

        changed = program.stat().st_mtime_ns
        told = {"program": str(program), "changed": changed, "digest": digest}
        with replacing(self.path) as part:
            part.write_text(json.dumps(told), encoding="utf-8")


def sorted_out(lines: Sequence[str], mode: str) -> Instructions:
    """Return what is done of instructions here: pip's always, others where allowed.

    Raises:
        Unsupported: there are others, and `mode` is "refuse".

    """
    from pybridge.functions import uv

    requirements: list[str] = []
    applied: list[str] = []
    recorded: list[str] = []
    for line in lines:
        packages = uv.installs(line)
        plain = None if packages is None else _plain(packages)
        if plain:
            requirements += plain
        elif packages is not None or mode == "run":
            applied.append(line)
        elif mode == "record":
            recorded.append(line)
        else:
            raise Unsupported(
                f"instruction '{line}' is for an image, and there is no container "
                "here; put packages into requirements, or write in [functions] of "
                'pybridge.toml: instructions = "record" to have it in the Dockerfile, '
                'or "run" to have it done on this machine'
            )
    return Instructions(tuple(requirements), tuple(applied), tuple(recorded))


def _plain(packages: str) -> list[str]:
    """Return the requirements that pip is given, if there are no options among them."""
    import shlex

    words = shlex.split(packages)
    wrong = any(word.startswith("-") or set(word) & set("|&;`$()/") for word in words)
    return [] if wrong else words


def _installing(lines: Sequence[str]) -> list[str]:
    """Return the instructions whose packages were locked with the requirements."""
    from pybridge.functions import uv

    return [line for line in lines if _plain(uv.installs(line) or "")]


def _root(image: str) -> list[str]:
    """Return the warning about an image that may run as root.

    Raises:
        BadArgument: the settings refuse those.

    """
    from pybridge.functions.dockerfile import USER

    mode = _setting("root_image", _ROOT_MODES)
    if mode == "allow":
        return []
    told = (
        f"base_image '{image}' may be a root image, which the security policy of a "
        f"cluster can refuse; the Dockerfile ends with USER {USER}"
    )
    if mode == "refuse":
        raise BadArgument(
            f"base_image '{image}' may be a root image, and root_image of [functions] "
            "is 'refuse'; name one that does not run as root"
        )
    return [told]


def _setting(name: str, known: Sequence[str]) -> str:
    """Return a setting of [functions] that is one of some words.

    Raises:
        BadArgument: it is another one.

    """
    from pybridge import settings

    found = settings.section("functions").get(name, known[0])
    if found not in known:
        words = ", ".join(f"'{word}'" for word in known)
        raise BadArgument(f"[functions] {name} is one of {words}, not {found!r}")
    return str(found)


def _name(spec: Mapping[str, Any]) -> str:
    """Return a function's name, with its project: "p/f"."""
    return str(spec["function"]).partition("://")[2].partition(":")[0]


def _version(spec: Mapping[str, Any]) -> str:
    from pybridge.functions import pythons

    return pythons.version_of(spec.get("python_version"))


def _pack(spec: Mapping[str, Any]) -> Optional[str]:
    """Return the name of the archive that was taken along with the source, if any."""
    path = spec["source"].get("path")
    return Path(str(path)).name if path else None


def _terminate(*_: object) -> None:
    raise _Terminated


def _say(text: str) -> None:
    """Write to the log of the run."""
    sys.stderr.write(f"build: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
