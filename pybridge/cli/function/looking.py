"""`list`, `show`, `logs` and `status`: what there is, and how it is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from pybridge import moments
from pybridge._words import counted
from pybridge.cli.function import FAILED, STOPPED, command, options, shown
from pybridge.cli.function.following import COLOURS, lasted
from pybridge.cli.output import print_json, print_rows
from pybridge.functions import states

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pybridge.functions.entity import Entity
    from pybridge.functions.function import Function
    from pybridge.functions.run import Run
    from pybridge.functions.store import Store

__all__: list[str] = []

_LISTS = (
    "runs",
    "functions",
    "dataitems",
    "artifacts",
    "models",
    "secrets",
    "projects",
)
_SHORT = 12  # characters of an id that are shown


class _What(click.Choice):  # type: ignore[type-arg] # before click 8.2 it has none
    """What may be listed; one of it means all."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Return the plural of a word."""
        return super().convert(
            f"{value}s" if f"{value}s" in _LISTS else value, param, ctx
        )


# ---- Lists ---------------------------------------------------------------------------


@command("list")
@click.argument("what", type=_What(_LISTS), default="runs", metavar="[WHAT]")
@click.option("--project", help="Of this project; without it, of all.")
@click.option(
    "--state",
    type=click.Choice(list(states.MOVES), case_sensitive=False),
    metavar="STATE",
    multiple=True,
    help="In this state; repeatable.",
)
@click.option("--function", "function_", help="Of this function.")
@click.option("--versions", is_flag=True, help="All versions, not the newest alone.")
@click.option(
    "--limit", type=click.IntRange(0), default=50, help="The newest so many; 50."
)
def _list(
    store: Store,
    what: str,
    *,
    project: str | None,
    state: tuple[str, ...],
    function_: str | None,
    versions: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List the runs, the newest first, or WHAT else there is.

    WHAT is runs, functions, dataitems, artifacts, models, secrets or projects.
    """
    from pybridge.functions import references
    from pybridge.functions.store import created

    projects = store.projects()
    if project:
        projects = [references.project_of(store, project).name]
    if what == "projects":
        rows = [_of_project(store, name) for name in projects]
        _print(rows, ("name", "functions", "runs", "created"), as_json=as_json)
        return
    if what == "runs":
        found = _runs(store, projects, list(state) or None, function_, limit)
        _print_runs(found, as_json=as_json)
        return
    entities = [
        one for name in projects for one in _of_type(store, name, what[:-1], versions)
    ]
    entities.sort(key=created, reverse=True)
    rows = [_row(one) for one in entities[:limit]]
    columns = {
        "functions": ("project", "name", "handler", "python", "created", "key"),
        "secrets": ("project", "name", "created", "key"),
    }.get(what, ("project", "name", "kind", "created", "key"))
    _print(rows, columns, as_json=as_json)


def _runs(
    store: Store,
    projects: list[str],
    wanted: list[str] | None,
    function: str | None,
    limit: int,
) -> list[dict[str, Any]]:
    from pybridge.functions import references, report
    from pybridge.functions.run import look
    from pybridge.functions.store import created

    executable = None
    if function is not None:
        only = projects[0] if len(projects) == 1 else None
        its = references.function(store, function, only)
        executable, projects = its.executable, [its.project]
    found = [
        one
        for name in projects
        for one in store.find(
            name, "run", states=wanted, function=executable, newest=limit
        )
    ]
    found.sort(key=created, reverse=True)
    return [report.summary(look(store, one)) for one in found[:limit]]


def _print_runs(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    if not rows and sys.stdout.isatty():
        click.echo("there are no runs; pybridge function run FILE.py:NAME makes one")
        return
    terminal = sys.stdout.isatty()
    for row in rows:
        row["time"] = lasted(row["seconds"])
        row["name"] = f"{row['project']}/{row['function']}"
        row["message"] = _first(row["message"] if row["state"] == "ERROR" else "")
        if terminal:
            row["id"] = row["id"][:_SHORT]
            row["created"] = moments.since(row["created"])
    print_rows(
        rows,
        {
            "id": "id",
            "name": "function",
            "action": "action",
            "state": "state",
            "created": "created",
            "time": "time",
            "message": "message",
        },
        right=("time",),
        styles=COLOURS,
        cut="message",
    )


def _first(text: str | None) -> str:
    return (text or "").partition("\n")[0]


def _short(text: str | None) -> str:
    words = _first(text)
    return words if len(words) <= 60 or not sys.stdout.isatty() else f"{words[:59]}…"


def _of_type(
    store: Store, project: str, type_: str, versions: bool
) -> list[dict[str, Any]]:
    found = store.find(project, type_)
    if versions:
        return found
    return list({one["name"]: one for one in found}.values())


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    spec = entry["spec"]
    made = entry["metadata"].get("created")
    return {
        "project": entry["project"],
        "name": entry["name"],
        "kind": entry["kind"],
        "handler": (spec.get("source") or {}).get("handler"),
        "python": str(spec.get("python_version") or "")
        .replace("PYTHON", "")
        .replace("_", "."),
        "created": moments.dated(made) if sys.stdout.isatty() else made,
        "key": entry["key"],
    }


def _of_project(store: Store, name: str) -> dict[str, Any]:
    from pybridge.functions import keys

    entry = store.get(str(keys.Key(name))) or {"metadata": {}}
    made = entry["metadata"].get("created")
    return {
        "name": name,
        "functions": len({one["name"] for one in store.find(name, "function")}),
        "runs": len(store.find(name, "run")),
        "created": moments.dated(made) if sys.stdout.isatty() else made,
    }


def _print(
    rows: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool
) -> None:
    if as_json:
        print_json([{name: row[name] for name in columns} for row in rows])
    elif not rows and sys.stdout.isatty():
        click.echo("there are none")
    else:
        print_rows(
            rows,
            {name: name for name in columns},
            right=("functions", "runs"),
            spare="key",
        )


# ---- One thing -----------------------------------------------------------------------


@command("show")
@click.argument("key")
@options.project_option
@click.option("--yaml", "as_yaml", is_flag=True, help="Print it as `export` writes it.")
def _show(
    store: Store, key: str, *, project: str | None, as_yaml: bool, as_json: bool
) -> None:
    """Show what KEY is, what became of it, and where it came from.

    KEY is a key, the id of a run or its beginning, or a name.
    """
    from pybridge.functions import references
    from pybridge.functions.function import Function
    from pybridge.functions.run import Run

    found = references.entity(store, key, project)
    if isinstance(found, Run):
        found.refresh()
    if as_yaml:
        click.echo(found.to_yaml(), nl=False)
        return
    lineage = _lineage(store, found)
    if as_json:
        print_json({**found.to_dict(), "lineage": lineage})
        return
    _print_head(found)
    if isinstance(found, Run):
        _print_run(found)
    elif isinstance(found, Function):
        _print_function(store, found)
    preview = found.status.get("preview")
    if preview:
        click.echo(f"\n{counted(preview.get('rows') or 0, 'row')}")
        shown.preview(preview)
    if lineage:
        click.echo("\nlineage")
        for one in lineage:
            click.echo(f"  {one['relation']:<12}{one['key']}")


def _print_head(found: Entity) -> None:
    about = found.metadata
    size = sum(int(one.get("size") or 0) for one in found.status.get("files") or ())
    source = found.spec.get("source")
    labels = about.get("labels")
    rows = {
        "key": found.key,
        "state": found.status.get("state"),
        "description": about.get("description"),
        "labels": ", ".join(labels) if labels else None,
        "created": f"{moments.dated(about.get('created'))} by {found.user}",
        "path": found.spec.get("path"),
        "bytes": size or None,
        "source": source.get("source") if isinstance(source, dict) else None,
        "handler": source.get("handler") if isinstance(source, dict) else None,
        "python": found.spec.get("python_version"),
        "requirements": ", ".join(found.spec.get("requirements") or ()) or None,
        "image": found.spec.get("image"),
    }
    for name, value in rows.items():
        if value not in {None, ""}:
            text = str(value)
            if name == "state":
                text = click.style(text, fg=COLOURS.get(text))
            click.echo(f"{name + ':':<14}{text}")


def _print_run(run: Run) -> None:
    from pybridge.functions import report

    told = report.summary(run.to_dict())
    spec = run.spec
    service = run.status.get("service")
    rows: dict[str, Any] = {
        "function": spec.get("function"),
        "action": run.action,
        "time": lasted(told["seconds"]),
        "attempts": told["attempts"] if told["attempts"] > 1 else None,
        "inputs": _named(spec.get("inputs")),
        "parameters": _named(spec.get("parameters")),
        "service": service.get("url") if service else None,
    }
    for name, value in rows.items():
        if value:
            click.echo(f"{name + ':':<14}{value}")
    click.echo("\nstates")
    for one in run.status.get("transitions") or ():
        words = _short(one.get("message"))
        at = moments.clock(one.get("time"))
        click.echo(f"  {at}  {one.get('status'):<10} {words}".rstrip())
    if run.state == "ERROR":
        click.echo()
        error = run.status.get("error") or {}
        click.echo(error.get("traceback") or run.status.get("message") or "")
        if error.get("stage"):
            click.echo(f"(stage '{error['stage']}', attempt {error.get('attempt', 1)})")
    elif run.status.get("results") or run.status.get("outputs"):
        click.echo()
        shown.results(run)


def _named(given: dict[str, Any] | None) -> str:
    return ", ".join(f"{name}={value}" for name, value in (given or {}).items())


def _print_function(store: Store, found: Function) -> None:
    from pybridge.functions import report

    versions = store.find(found.project, "function", name=found.name)
    runs = store.find(found.project, "run", function=found.executable, newest=5)
    click.echo(f"{'versions:':<14}{len(versions)}")
    if runs:
        click.echo("\nlast runs")
        for entry in reversed(runs):
            told = report.summary(entry)
            state = click.style(f"{told['state']:<10}", fg=COLOURS.get(told["state"]))
            click.echo(
                f"  {told['id'][:_SHORT]}  {told['action']:<6}{state}"
                f" {moments.dated(told['created'])}  {lasted(told['seconds'])}"
            )


def _lineage(store: Store, found: Entity) -> list[dict[str, str]]:
    """Return what an entity came from, and what came from it."""
    lines = [
        {"relation": str(one.get("type")), "key": _bare(str(one.get("dest")))}
        for one in found.metadata.get("relationships") or ()
    ]
    if found.TYPE == "run":
        outputs = found.status.get("outputs") or {}
        return lines + [
            {"relation": "produced", "key": key} for key in outputs.values()
        ]
    if found.TYPE in {"dataitem", "artifact", "model"}:
        for entry in store.find(found.project, "run"):
            related = entry["metadata"].get("relationships") or ()
            if any(
                one.get("type") == "consumes" and one.get("dest") == found.key
                for one in related
            ):
                lines.append({"relation": "consumed_by", "key": entry["key"]})
    return lines


def _bare(dest: str) -> str:
    """Return the key of a relationship, without the id that others put behind it."""
    start, slash, last = dest.rpartition("/")
    return f"{start}{slash}{last.partition(':')[0]}" if "/run/" in dest else dest


# ---- Logs ----------------------------------------------------------------------------


@command("logs")
@click.argument("run")
@options.project_option
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option(
    "-n", "--tail", type=click.IntRange(0), help="Only the last so many lines."
)
@click.option("--attempt", type=int, help="Only what that attempt has written.")
def _logs(
    store: Store,
    run: str,
    *,
    project: str | None,
    follow: bool,
    tail: int | None,
    attempt: int | None,
    as_json: bool,
) -> None:
    """Print what RUN has written.

    Ctrl-C ends the printing, not the run.
    """
    from collections import deque

    from pybridge.functions import references

    found = references.run(store, run, project)
    lines: Iterable[str] = found.logs(follow=follow, attempt=attempt)
    if tail is not None and not follow:
        lines = deque(lines, maxlen=max(tail, 0))
    if as_json:
        print_json(list(lines))
        return
    try:
        for line in lines:
            click.echo(line)
    except KeyboardInterrupt:
        sys.exit(STOPPED)


# ---- How things are ------------------------------------------------------------------


@command("status")
@click.argument("run", required=False)
@options.project_option
def _status(
    store: Store, run: str | None, *, project: str | None, as_json: bool
) -> None:
    """Show the store and the manager of its runs; or how RUN is.

    The exit code is 1 where RUN is in ERROR, 130 where it was stopped, 0 elsewhere.
    """
    from pybridge.functions import references, report

    if run is not None:
        found = references.run(store, run, project).refresh()
        if as_json:
            print_json(report.summary(found.to_dict()))
        else:
            words = found.status.get("message")
            click.echo("\t".join(filter(None, [found.state, words])))
        sys.exit({"ERROR": FAILED, "STOPPED": STOPPED}.get(found.state, 0))
    told = _of_store(store)
    if as_json:
        print_json(told)
        return
    manager = told["manager"]
    click.echo(f"store:        {told['store']}")
    click.echo(f"projects:     {told['projects']}")
    click.echo(
        "runs:         "
        + (", ".join(f"{n} {state}" for state, n in told["runs"].items()) or "none")
    )
    if manager is None:
        click.echo("manager:      none; the next run starts one")
    else:
        click.echo(
            f"manager:      process {manager['pid']}; {len(manager['running'])} of "
            f"{manager['places']} places taken, {manager['waiting']} waiting"
        )


def _of_store(store: Store) -> dict[str, Any]:
    from pybridge.functions.manager import client

    its = client.of(store)
    return {
        "store": str(store.root),
        "projects": len(store.projects()),
        "runs": store.run_states(),
        "manager": its.ask("info", 5) if its.is_there() else None,
    }
