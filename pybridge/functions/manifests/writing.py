"""Writing: manifests as YAML or JSON, as `kubectl apply -f` takes them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Dict, Iterable, List, Union

from pybridge.errors import BadArgument, HostError
from pybridge.functions.manifests.rendering import render

if TYPE_CHECKING:
    from pybridge.functions.run import Run

__all__ = ["FORMS", "text", "write"]

FORMS = ("yaml", "json")


def text(objects: Iterable[Dict[str, Any]], form: str = "yaml") -> str:
    """Return objects as one text: documents of YAML, or a list in JSON.

    Raises:
        BadArgument: the form is another one.

    """
    if form not in FORMS:
        raise BadArgument(f"form '{form}' is unknown; there are 'yaml' and 'json'")
    found = list(objects)
    if form == "json":
        whole = {"apiVersion": "v1", "kind": "List", "items": found}
        return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
    return "---\n".join(_yaml(one) for one in found)


def write(
    run: Union[Run, Iterable[Dict[str, Any]]],
    target: Union[str, os.PathLike[str], IO[str]],
    form: str = "yaml",
) -> List[Path]:
    """Write objects to a stream, or into a directory, each into a file.

    They are those of a run, or those that are given.

    The names of the files begin with a number, so that they are applied in order. What
    has secrets in it only its owner can read.

    Raises:
        BadArgument: they cannot be made.
        HostError: they cannot be written.

    """
    from pybridge.functions.run import Run

    objects = render(run) if isinstance(run, Run) else list(run)
    if not isinstance(target, (str, os.PathLike)):
        target.write(text(objects, form))
        return []
    folder = Path(target).expanduser()
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, one in enumerate(objects):
            kind, name = one["kind"].lower(), one["metadata"]["name"]
            path = folder / f"{number:02d}-{kind}-{name}.{form}"
            content = _yaml(one) if form == "yaml" else _json(one, form)
            _put(path, content, 0o600 if one["kind"] == "Secret" else 0o644)
            written.append(path)
    except OSError as exc:
        raise HostError(
            f"manifests cannot be written to '{folder}': {exc.strerror}"
        ) from None
    return written


def _put(path: Path, content: str, mode: int) -> None:
    """Write a file that has the mode from its beginning."""
    if path.is_symlink() or path.exists():
        path.unlink()
    fd = os.open(str(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(content)


def _json(one: Dict[str, Any], form: str) -> str:
    if form not in FORMS:
        raise BadArgument(f"form '{form}' is unknown; there are 'yaml' and 'json'")
    return json.dumps(one, indent=2, ensure_ascii=False) + "\n"


def _yaml(one: Dict[str, Any]) -> str:
    """Return an object as YAML; texts of several lines as they read."""
    try:
        import yaml
    except ImportError:
        raise HostError(
            "manifests need the package 'pyyaml'; pip install 'pybridge[functions]'"
        ) from None

    base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # which is in C

    class Dumper(base):  # type: ignore[misc]
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - each stands alone
            return True

    def write_text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, write_text)
    return yaml.dump(
        one, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1 << 16
    )
