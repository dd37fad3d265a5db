"""`stop`, `reload`, `resume`, `delete`, `secret`, `export`, `import`: keeping order."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pybridge.cli.function import command, options, shown
from pybridge.cli.output import busy, print_json
from pybridge.errors import BadArgument, Undefined

if TYPE_CHECKING:
    from pybridge.functions.project import Project
    from pybridge.functions.store import Store

__all__: list[str] = []


@command("stop")
@click.argument("runs", nargs=-1)
@options.project_option
@click.option("--all", "every", is_flag=True, help="All that have not ended.")
def _stop(
    store: Store,
    runs: tuple[str, ...],
    *,
    project: str | None,
    every: bool,
    as_json: bool,
) -> None:
    """Stop RUNS; a service answers first what it has been asked."""
    from pybridge.functions import references, report, states
    from pybridge.functions.run import Run, look

    if bool(runs) == every:
        raise click.UsageError("name the runs to stop, or give --all")
    live = [one for one in states.NAMES if not states.is_final(one)]
    if every:
        names = [project] if project else store.projects()
        found = [
            Run(look(store, entry), store)
            for name in names
            for entry in store.find(name, "run", states=live)
        ]
    else:
        found = [references.run(store, one, project, live) for one in runs]
    told = []
    for run in found:
        if run.refresh().state not in live and not as_json:
            click.echo(f"{run.id} has ended already: {run.state}", err=True)
            continue
        with busy(f"stopping {run.id}"):
            run.stop()
        told.append(report.summary(run.to_dict()))
        if not as_json:
            click.echo(shown.ending(run))
    if as_json:
        print_json(told)


@command("reload")
@click.argument("run")
@options.project_option
def _reload(store: Store, run: str, *, project: str | None, as_json: bool) -> None:
    """Replace the replicas of the service RUN, one by one; no request is lost."""
    from pybridge.functions import references, report

    with busy("reloading"):
        found = references.run(store, run, project, ["RUNNING"]).reload()
    if as_json:
        print_json(report.summary(found.to_dict()))
        return
    click.echo(found.status.service["url"])


@command("resume")
@click.argument("run")
@options.project_option
def _resume(store: Store, run: str, *, project: str | None, as_json: bool) -> None:
    """Let RUN go on, which was stopped: a service, or a job from its beginning."""
    from pybridge.functions import references, report

    with busy("resuming"):
        stopped = references.run(store, run, project, ["STOPPED"])
        found = stopped.resume().wait(log_info=False)
    if as_json:
        print_json({**report.summary(found.to_dict()), **report.outcome(found)})
        return
    service = found.status.get("service") or {}
    click.echo(service.get("url") or shown.ending(found))


@command("delete")
@click.argument("keys", nargs=-1, required=True)
@options.project_option
@click.option("--versions", is_flag=True, help="All versions of a name.")
@click.option("--yes", is_flag=True, help="Do not ask before a whole project goes.")
def _delete(
    store: Store,
    keys: tuple[str, ...],
    *,
    project: str | None,
    versions: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete KEYS: runs, functions, data, with their files; or a whole project."""
    from pybridge.functions import lookup, references

    gone = []
    for text in keys:
        found = references.entity(store, text, project)
        if found.TYPE == "project":
            if not yes:
                _confirm(f"delete project '{found.name}' with all that is in it?")
            found.delete()
        elif found.TYPE == "run":
            found.delete()
        else:
            identifier = found.name if versions else text.rpartition("/")[2]
            lookup.delete(
                store,
                found.project,
                found.TYPE,
                identifier,
                found.id if ":" in text.rpartition("/")[2] else None,
                delete_all_versions=versions,
            )
        gone.append(found.key)
    _print_gone(gone, as_json=as_json)


def _print_gone(keys: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json(keys)
        return
    for key in keys:
        click.echo(f"deleted {key}")


def _confirm(words: str) -> None:
    """Ask, where somebody is there to be asked.

    Raises:
        BadArgument: the answer is no, or there is nobody.

    """
    if not sys.stdin.isatty():
        raise BadArgument(f"{words} say --yes")
    if not click.confirm(words, err=True):
        raise BadArgument("nothing was deleted")


@command("secret")
@click.argument("name")
@options.project_option
@click.option("--delete", "gone", is_flag=True, help="Forget it.")
def _secret(
    store: Store, name: str, *, project: str | None, gone: bool, as_json: bool
) -> None:
    """Give the secret NAME a value: typed unseen, or read from standard input.

    NAME may be project/name. Runs get it by `--secret NAME`, as a variable; it is in no
    log and no export.
    """
    from pybridge.functions import references
    from pybridge.functions.library import get_or_create_project

    owner, _, bare = name.rpartition("/")
    home = get_or_create_project(
        owner or project or references.default_project(), store=store
    )
    if gone:
        key = _secret_of(home, bare)
        home.delete_secret(bare)
        _print_gone([key], as_json=as_json)
        return
    if sys.stdin.isatty():
        value = click.prompt(f"value of {bare}", hide_input=True, err=True)
    else:
        value = sys.stdin.read().rstrip("\n")
    made = home.new_secret(name=bare, secret_value=value)
    if as_json:
        print_json({"key": made.key})
    else:
        click.echo(made.key)


def _secret_of(home: Project, name: str) -> str:
    """Return the key of a secret.

    Raises:
        Undefined: there is none of that name.

    """
    try:
        return home.get_secret(name).key
    except BadArgument as exc:
        raise Undefined(str(exc)) from None


@command("export")
@click.argument("key")
@click.argument("file", required=False, type=click.Path(dir_okay=False))
@options.project_option
def _export(
    store: Store, key: str, file: str | None, *, project: str | None, as_json: bool
) -> None:
    """Write KEY into the YAML file FILE; - is standard output.

    KEY may be a whole project. No value of a secret is in it.
    """
    from pybridge.functions import references

    found = references.entity(store, key, project)
    if file == "-":
        if as_json:
            print_json({"key": found.key, "yaml": found.to_yaml()})
        else:
            click.echo(found.to_yaml(), nl=False)
        return
    if file is not None and Path(file).exists():
        raise BadArgument(f"'{file}' is there already; name a new file")
    path = found.export(file)
    if as_json:
        print_json({"file": path, "key": found.key})
    else:
        click.echo(path)


@command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@options.project_option
@click.option("--new-id", is_flag=True, help="As a new version, where it is here.")
def _import(
    store: Store, file: str, *, project: str | None, new_id: bool, as_json: bool
) -> None:
    """Read FILE, which `export` has written, and print the key."""
    from pybridge.functions import archive

    try:
        made = archive.load_any(store, file, project, reset_id=new_id)
    except BadArgument as exc:
        if "give another uuid, or none" in str(exc):
            words = str(exc).partition(";")[0]
            raise BadArgument(f"{words}; --new-id makes a new version") from None
        raise
    if as_json:
        print_json({"key": made.key})
    else:
        click.echo(made.key)
