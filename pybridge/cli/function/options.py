"""Options that verbs share, and what their texts mean."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Body = Callable[..., Any]

__all__ = [
    "declaring",
    "inputs",
    "limiting",
    "pairs",
    "parameters",
    "passing",
    "project_option",
    "python_version",
    "run_fields",
    "text_of",
]

project_option = click.option(
    "--project", help="The project, instead of the default one."
)


def _all_of(*options: Callable[[Body], Body]) -> Callable[[Body], Body]:
    """Return what adds options to a command, in their order in its help."""

    def add(body: Body) -> Body:
        for option in reversed(options):
            body = option(body)
        return body

    return add


# The options of a function that is declared of a file.
declaring = _all_of(
    project_option,
    click.option("--name", help="The name to store the function under."),
    click.option("--handler", help="The function in a source: module:name."),
    click.option("--init", "init", help="The function to call once before."),
    click.option("--python", help="The Python that it needs, such as 3.12."),
    click.option(
        "-r",
        "--requirement",
        "requirements",
        multiple=True,
        metavar="PACKAGE",
        help="A package that it needs, or @FILE with one a line; repeatable.",
    ),
    click.option("--base-image", help="The image that a build begins with."),
)

# The options that say what a function is called with.
passing = _all_of(
    click.option(
        "-p",
        "--param",
        "params",
        multiple=True,
        metavar="NAME=VALUE",
        help="A parameter: JSON where it is that, else text; repeatable.",
    ),
    click.option(
        "--params-json",
        metavar="JSON",
        help='All parameters: {"steps": 3}, @FILE, or - for standard input.',
    ),
    click.option(
        "-i",
        "--input",
        "inputs",
        multiple=True,
        metavar="NAME=DATA",
        help="A key or name, a file (csv, parquet), or "
        "sqlite:///file.db#table; repeatable.",
    ),
)

# The options that say with what and how long a run may run.
limiting = _all_of(
    click.option(
        "-e",
        "--env",
        "envs",
        multiple=True,
        metavar="NAME=VALUE",
        help="An environment variable; NAME alone takes yours; repeatable.",
    ),
    click.option(
        "--secret",
        "secrets",
        multiple=True,
        metavar="NAME",
        help="A secret of the project as a variable; repeatable.",
    ),
    click.option("--memory", metavar="SIZE", help="At most so much: 512Mi."),
    click.option("--cpu", metavar="NUMBER", help="At most so many: 1.5."),
    click.option("--timeout", metavar="TIME", help="At most so long: 90s, 2h."),
    click.option("--engine", help="Where to run it: local, kubernetes."),
)


# ---- What they mean ------------------------------------------------------------------


def pairs(given: Iterable[str], option: str) -> list[tuple[str, str]]:
    """Return names and values of options of the form name=value.

    Raises:
        UsageError: one has not that form, or a name comes twice.

    """
    found: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{option} {one!r} is not of the form NAME=VALUE")
        if name in found:
            raise click.UsageError(f"{option} gives '{name}' twice")
        found[name] = value
    return list(found.items())


def text_of(given: str) -> str:
    """Return a text that is given as itself, as @FILE, or as - for standard input.

    Raises:
        UsageError: there is no such file.

    """
    if given == "-":
        return sys.stdin.read()
    if given.startswith("@"):
        if not Path(given[1:]).exists():
            raise click.UsageError(f"there is no file '{given[1:]}'")
        return Path(given[1:]).read_text(encoding="utf-8")
    return given


def parameters(params: Iterable[str], whole: str | None) -> dict[str, Any]:
    """Return parameters; those of --param win over those of --params-json.

    Raises:
        UsageError: what is to be JSON is none, or no object.

    """
    found: dict[str, Any] = {}
    if whole is not None:
        try:
            found = json.loads(text_of(whole))
        except ValueError as exc:
            raise click.UsageError(f"--params-json is not JSON: {exc}") from None
        if not isinstance(found, dict):
            raise click.UsageError('--params-json is an object such as {"steps": 3}')
    for name, value in pairs(params, "--param"):
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    """Return what a text is as JSON, where it is that."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(word: str) -> None:
    """Let NaN and Infinity be words: they are no JSON."""
    raise ValueError(word)


def inputs(given: Iterable[str]) -> dict[str, str]:
    """Return inputs; a path is made one that every process understands.

    Raises:
        UsageError: a file is not there.

    """
    return {name: _place(value, name) for name, value in pairs(given, "--input")}


def _place(value: str, name: str) -> str:
    if value.startswith("sqlite:"):
        from pybridge.functions import database

        return database.absolute(value)
    if "://" in value:
        return value
    path = Path(value).expanduser()
    if path.exists():
        return str(path.absolute())
    if path.suffix in {".csv", ".parquet", ".json", ".jsonl", ".xlsx", ".tsv"}:
        raise click.UsageError(f"--input {name}: there is no file '{value}'")
    return value


def python_version(given: str | None) -> str:
    """Return the version that PYTHON3_12 or 3.12 names; without one, this one.

    Raises:
        UsageError: it names none.

    """
    if given is None:
        return f"PYTHON3_{sys.version_info.minor}"
    found = re.fullmatch(r"(?:PYTHON|python)?3[._](\d+)(?:\.\d+)?", given)
    if found is None:
        raise click.UsageError(f"--python {given!r} is not a version such as 3.12")
    return f"PYTHON3_{found[1]}"


def requirements(given: Iterable[str]) -> list[str]:
    """Return packages; those of a file without its comments."""
    found = []
    for one in given:
        lines = text_of(one).splitlines() if one.startswith("@") else [one]
        bare = (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines)
        found += [line for line in bare if line]
    return found


def run_fields(**given: Any) -> dict[str, Any]:
    """Return what a run is made with, of the options' values; without the absent."""
    from pybridge import settings

    fields: dict[str, Any] = {
        "envs": [_variable(one) for one in given.pop("envs", ())] or None,
        "secrets": list(given.pop("secrets", ())) or None,
    }
    resources = {
        name: value
        for name, value in (
            ("cpu", given.pop("cpu", None)),
            ("mem", given.pop("memory", None)),
        )
        if value is not None
    }
    timeout = given.pop("timeout", None)
    if timeout is not None:
        fields["timeout"] = settings.seconds(_number(timeout), "--timeout")
        if fields["timeout"] is None:
            raise BadArgument('--timeout is a time such as "90s"; leave it away')
    fields["resources"] = resources or None
    return {k: v for k, v in {**fields, **given}.items() if v not in (None, {}, ())}


def _number(text: str) -> float | str:
    """Take a bare number for seconds."""
    try:
        return float(text)
    except ValueError:
        return text


def _variable(given: str) -> dict[str, str]:
    """Return a variable as a run has it; NAME alone has the value that it has here.

    Raises:
        UsageError: it has none here.

    """
    import os

    name, equals, value = given.partition("=")
    if not equals:
        if name not in os.environ:
            raise click.UsageError(f"--env {name}: there is no such variable here")
        value = os.environ[name]
    return {"name": name, "value": value}
