"""Dockerfile: what a registry's image of a function is built by, and its context."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, NamedTuple, Optional

from pybridge.functions import runtime

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pybridge.functions.store import Store

__all__ = ["Context", "Plan", "digest", "may_be_root", "render", "write"]

USER = 10001  # of nobody in particular, and not root
PORT = 8080
HOME = "/opt/pybridge"
SOURCE = "/shared"
_FORM = 1  # to be changed with what a context has in it
_APT = re.compile(r"\s*(?:sudo\s+)?apt(?:-get)?\s+(?:-\S+\s+)*install\b")
_UPDATE = re.compile(r"\bapt(?:-get)?\s+(?:-\S+\s+)*update\b")
_NOT_ROOT = re.compile(
    r"nonroot|non-root|rootless|unprivileged|cgr\.dev/chainguard|bitnami|jupyter/|"
    r"ubi\d*/python|sclorg",
    re.IGNORECASE,
)


class Plan(NamedTuple):
    """What an image is made from."""

    name: str  # of the function, with its project
    python: str  # "3.11"
    source: str  # the digest of its tree
    lock: str
    requirements: Sequence[str]
    instructions: Sequence[str]
    envs: Sequence[Mapping[str, Any]]
    base_image: Optional[str] = None
    pack: Optional[str] = None  # the archive that the source is in the store


class Context(NamedTuple):
    """A directory that is sent to the builder of an image."""

    path: Path
    digest: str

    @property
    def dockerfile(self) -> Path:
        """Where its Dockerfile is."""
        return self.path / "Dockerfile"


def may_be_root(image: Optional[str]) -> bool:
    """Tell whether an image may run as root: those that do not usually say so."""
    return bool(image) and not _NOT_ROOT.search(str(image))


def digest(plan: Plan) -> str:
    """Return what the context of a plan is found by."""
    parts = [_FORM, *plan, runtime.digest()]
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def render(plan: Plan) -> str:
    """Return the Dockerfile of a plan."""
    return "\n".join(_lines(plan)) + "\n"


def write(plan: Plan, tree: Path, store: Store) -> Context:
    """Return the context of a plan, written where it is not there yet."""
    key = digest(plan)
    folder = Path(store.root) / "cache" / "builds"
    path = folder / key
    if (path / "Dockerfile").is_file():
        return Context(path, key)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Path(tempfile.mkdtemp(prefix=".making-", dir=str(folder)))
    try:
        _fill(made, plan, tree, store)
        try:
            made.rename(path)
        except OSError:  # another process was here first
            if not (path / "Dockerfile").is_file():
                raise
    finally:
        if made.exists():
            shutil.rmtree(str(made), ignore_errors=True)
    return Context(path, key)


def _fill(made: Path, plan: Plan, tree: Path, store: Store) -> None:
    """Write all that the image is made from."""
    shutil.copytree(str(tree), str(made / "source"), symlinks=True)
    for folder, _, _ in os.walk(str(made / "source")):
        Path(folder).chmod(0o755)  # the tree is read-only, and nobody could remove it
    runtime.copy(made / "runtime")
    if plan.pack:
        packs = made / "sources"
        packs.mkdir()
        shutil.copy(str(Path(store.root) / "sources" / plan.pack), str(packs))
    texts = {
        "requirements.txt": "".join(f"{one}\n" for one in plan.requirements),
        "requirements.lock": plan.lock,
        ".dockerignore": "**/__pycache__\n",
        "Dockerfile": render(plan),
    }
    for name, text in texts.items():
        (made / name).write_text(text, encoding="utf-8")


def _lines(plan: Plan) -> Iterator[str]:
    """Yield the lines of a Dockerfile, in the order that the original has them."""
    yield f"# The image of the function {_comment(plan.name)}, for jobs and services."
    yield f"FROM {plan.base_image or f'python:{plan.python}-slim'}"
    yield "USER root"
    yield f"COPY runtime {HOME}/runtime"
    yield f"COPY source {SOURCE}"
    if plan.pack:
        yield f"COPY sources {HOME}/sources"
    yield f"COPY requirements.txt requirements.lock {HOME}/"
    yield f"RUN python3 -m venv --system-site-packages {HOME}/venv"
    yield f"ENV PATH={HOME}/venv/bin:$PATH PYTHONPATH={HOME}/runtime"
    yield f"WORKDIR {SOURCE}"
    for one in plan.envs:
        if "\n" not in str(one["value"]):  # ENV has one line; runs set all of them
            yield f"ENV {one['name']}={_quoted(str(one['value']))}"
    updated = False
    for line in plan.instructions:
        text = _instruction(line)
        updated = updated or bool(_UPDATE.search(text))
        if _APT.match(text) and not updated:
            text = f"apt-get update && {text}"  # slim images know of no package
            updated = True
        yield _run(text)
    yield (
        "RUN python3 -m pip install --no-cache-dir --require-hashes "
        f"-r {HOME}/requirements.lock"
    )
    yield f"USER {USER}:{USER}"
    yield f"ENV HOME=/tmp PYTHONUNBUFFERED=1 PYBRIDGE_IMAGE={digest(plan)}"
    yield f"EXPOSE {PORT}"
    yield 'ENTRYPOINT ["python3", "-m", "pybridge.functions.container"]'


def _instruction(line: str) -> str:
    """Return what an instruction runs, also where it is written as in a Dockerfile."""
    return re.sub(r"\A\s*RUN\s+", "", line).strip()


def _run(text: str) -> str:
    """Return the line that runs a text, whatever is in it."""
    if "\n" in text or "<<" in text or text[:1] in "[-" or text.endswith("\\"):
        return f"RUN {json.dumps(['/bin/sh', '-c', text])}"
    return f"RUN {text}"


def _quoted(value: str) -> str:
    """Return a value as ENV takes it: nothing in it is a variable or an end."""
    text = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{text}"'


def _comment(text: str) -> str:
    """Return a text that stays on its line."""
    return " ".join(text.split())
