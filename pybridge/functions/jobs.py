"""Jobs of a host: a function run by a statement of SQL, or by a C program.

What comes and goes is JSON. Tables of the host's own connection are inputs: they are
read through it, inside its transaction, so that the run waits for no lock of its
caller's.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping, Optional, Union

from pybridge.errors import BadArgument, HostError, RunFailed

if TYPE_CHECKING:
    from pybridge.functions.function import Function
    from pybridge.functions.run import Run

__all__ = ["job", "runs", "start"]

Given = Union[str, Mapping[str, Any], None]

_SLICE = 0.2  # seconds after which a host that waits is asked whether it still does
_OPTIONS = ("raise", "wait", "local", "write", "mode", "project", "action")
_TABLE = re.compile(r'#?(?:(\w+)\.)?(?:"((?:[^"]|"")+)"|([^"#]+))')


def job(
    function: str,
    inputs: Given = None,
    parameters: Given = None,
    options: Given = None,
) -> str:
    """Run a function and return what became of it, as JSON text; see `start`.

    Raises:
        RunFailed: the function failed, and `raise` is not false.

    """
    return json.dumps(start(function, inputs, parameters, options), ensure_ascii=False)


def start(
    function: str,
    inputs: Given = None,
    parameters: Given = None,
    options: Given = None,
) -> dict[str, Any]:
    """Run a function, wait for its end, and return key, state, results and outputs.

    The function is a key, `project/name`, or a name in the default project. An input
    may be a table of the host: `#t`, `#main.t`, or `sqlite:///file.db#t`. Options:
    `wait` (true), `raise` (true), `local` (false: a process of its own), `write`
    ({"output": "table"}, into the host) and its `mode` ("replace"), `project`,
    `action` ("job"), and all that a run may be made with, such as `timeout`.

    Raises:
        BadArgument: something given is wrong; there is no run then.
        RunFailed: the function failed or was stopped, and `raise` is not false.
        Undefined: there is no such function.

    """
    from pybridge.functions import references
    from pybridge.functions.store import Store

    told = _object(options, "options")
    own = {name: told.pop(name) for name in _OPTIONS if name in told}
    _check(own, told)
    its = references.function(Store.open(), _text(function), own.get("project"))
    fields = {
        "inputs": _inputs(its, _object(inputs, "inputs"), bool(own.get("local"))),
        "parameters": _object(parameters, "parameters"),
        **told,
    }
    fields = {name: value for name, value in fields.items() if value}
    if own.get("local"):
        fields["local_execution"] = True
    run = its.run(own.get("action", "job"), **fields)
    if own.get("wait", True):
        run = _waited(run)
        if own.get("raise", True):
            _raise_for(run)
        _write(run, own.get("write") or {}, own.get("mode", "replace"))
    return _answer(run)


def runs(project: Optional[str] = None) -> list[dict[str, Any]]:
    """Return a line about each run of a project, or of all; the newest first.

    Raises:
        BadArgument: the project's name is none.
        Undefined: there is no such project.

    """
    from pybridge.functions import references, report
    from pybridge.functions.run import look
    from pybridge.functions.store import Store

    store = Store.open()
    if project is None:
        found = store.runs()
    else:
        found = store.find(references.project_of(store, project).name, "run")
    return [report.summary(look(store, one)) for one in reversed(found)]


def _answer(run: Run) -> dict[str, Any]:
    from pybridge.functions import report

    return report.outcome(run)


def _check(own: Mapping[str, Any], rest: Mapping[str, Any]) -> None:
    """Check the options that are ours; the rest are the run's own to check.

    Raises:
        BadArgument: one has not the type that it has to have, or is misspelt.
        HostError: what functions need is not installed.

    """
    from pybridge.functions import extras
    from pybridge.functions.faults import nearest

    specs = extras.models()
    for name in rest:
        meant = nearest(name, _OPTIONS)
        if meant and name not in specs.known():
            raise BadArgument(f"option '{name}' is unknown; did you mean '{meant}'?")
    for name in ("raise", "wait", "local"):
        if not isinstance(own.get(name, True), (bool, int)):
            raise BadArgument(f"option '{name}' is true or false, not {own[name]!r}")
    write = own.get("write") or {}
    tables = write.values() if isinstance(write, dict) else [None]
    if not all(isinstance(table, str) for table in tables):
        raise BadArgument(
            "option 'write' is an object of outputs and tables, such as "
            f'{{"output_0": "predicted"}}, not {write!r}'
        )
    if write and not own.get("wait", True):
        raise BadArgument("option 'write' needs the end of the run; leave 'wait' true")


# ---- Waiting -------------------------------------------------------------------------


def _waited(run: Run) -> Run:
    """Wait for the end of a run; where the host stops waiting, the run is stopped."""
    from pybridge.functions import engines

    engine = engines.of(run)
    try:
        while not run.refresh().is_final and not run.status.get("service"):
            engine.observe(run, _SLICE)
    except BaseException:
        _stop(run)
        raise
    return run


def _stop(run: Run) -> None:
    """Stop a run, although the host insists that all of this is to end."""
    for _ in range(3):
        try:
            run.stop()
        except BaseException:  # noqa: S112 - what is raised already is what counts
            continue
        return


def _raise_for(run: Run) -> None:
    """Raise what a run failed with.

    Raises:
        RunFailed: it failed, or was stopped.

    """
    if run.state == "ERROR":
        failed = run.failure()
        raise RunFailed(_as_json(str(failed)), failed.failure)
    if run.state == "STOPPED":
        raise RunFailed(f"run '{run.id}' was stopped before it had ended")


def _as_json(words: str) -> str:
    """Return what is said of arguments in Python's form in that of a host."""
    return re.sub(
        r"in (inputs|parameters)={'(\w+)': …}", r'in the \1: {"\2": …}', words
    )


# ---- Tables of the host --------------------------------------------------------------


def _inputs(
    function: Function, given: Mapping[str, Any], local: bool
) -> dict[str, Any]:
    """Return inputs in which the tables of the host are data that every process has."""
    made = {}
    for name, value in given.items():
        table = _table(value)
        if table is None:
            made[name] = value
        elif local and (place := _place(table)):
            made[name] = place
        else:
            made[name] = _logged(function, name, table)
    return made


def _table(value: Any) -> Optional[str]:
    """Return the SQL name of the host's table that an input means, if it means one."""
    if not isinstance(value, str) or value.startswith("store://"):
        return None
    if value.startswith("sqlite:"):
        from pybridge.functions import database

        place = database.parse(value)
        schema = _schemas().get(str(place.file.resolve()))
        return None if schema is None else _quoted(schema, place.table)
    found = _TABLE.fullmatch(value)
    if found is None or "/" in value:
        return None
    schema, quoted, bare = found.groups()
    name = quoted.replace('""', '"') if quoted else bare
    if value.startswith("#"):
        if not _is_in_host():
            raise BadArgument(
                f"the input '{value}' is a table of the host, and there is no host "
                "with SQL here"
            )
        return _quoted(schema, name)
    if not _is_in_host() or not _has(schema, name):
        return None
    return _quoted(schema, name)


def _is_in_host() -> bool:
    """Is there a host here that knows SQL?"""
    from pybridge import host

    return host.in_host() and bool(_schemas())


def _schemas() -> dict[str, str]:
    """Return the files of the host's connection, with their names in SQL."""
    from pybridge import host

    if not host.in_host():
        return {}
    try:
        rows = host.query("select file, name from pragma_database_list", None, "list")
    except HostError:  # a host without SQL
        return {}
    return {str(Path(file).resolve()) if file else "": name for file, name in rows}


def _has(schema: Optional[str], name: str) -> bool:
    from pybridge import host

    sql, values = "select count(*) from pragma_table_info(?)", [name]
    if schema is not None:
        sql, values = "select count(*) from pragma_table_info(?, ?)", [name, schema]
    try:
        rows = host.query(sql, values, "list")
    except HostError:
        return False
    return bool(rows[0][0])


def _quoted(schema: Optional[str], name: str) -> str:
    words = [name] if schema is None else [schema, name]
    return ".".join('"' + word.replace('"', '""') + '"' for word in words)


def _place(table: str) -> Optional[str]:
    """Return where a table of the main file is, for a run in this process."""
    schema, _, name = table.rpartition(".")
    if schema not in {"", '"main"'}:
        return None
    bare = name[1:-1].replace('""', '"')
    files = [file for file, its in _schemas().items() if its == "main" and file]
    if not files or not _has("main", bare):
        return None
    from pybridge.functions import database

    return str(database.Place(Path(files[0]), bare))


def _logged(function: Function, name: str, table: str) -> str:
    """Keep a table of the host as data of the project, and return its key."""
    from pybridge import host
    from pybridge.functions.library import get_project

    try:
        frame = host.query(f"select * from {table}", None, "arrow", parse=True)
    except HostError as exc:
        raise BadArgument(f"the input '{name}' cannot be read: {exc}") from None
    project = get_project(function.project, store=function.store)
    made = project.log_dataitem(
        name=re.sub(r"[^a-zA-Z0-9._+-]", "-", name),
        kind="table",
        data=frame,
        description=f"the table {table} of a host, as it was",
    )
    return _kept_once(made)


def _kept_once(made: Any) -> str:
    """Return the key of data, or of the same that is kept already."""
    store = made.store
    for entry in reversed(store.find(made.project, "dataitem", name=made.name)):
        if entry["id"] == made.id:
            continue
        if _hashes(entry["status"]) == _hashes(made.status):
            made.delete()
            return str(entry["key"])
        break  # of the older ones nobody asks: what comes back is rare
    return str(made.key)


def _hashes(status: Mapping[str, Any]) -> list[Any]:
    """Return the hashes of the files that an entity has."""
    return [one.get("hash") for one in status.get("files") or ()] or [status]


def _write(run: Run, tables: Mapping[str, str], mode: str) -> None:
    """Write outputs of a run into tables of the host.

    Raises:
        BadArgument: the run has no such output, or it is no table.

    """
    if not tables or run.state != "COMPLETED":
        return
    from pybridge import host

    for name, table in tables.items():
        made = run.output(name)
        if made is None or not hasattr(made, "as_df"):
            known = [n for n, one in run.outputs().items() if hasattr(one, "as_df")]
            raise BadArgument(
                f"the run has no table '{name}' to write; its tables: "
                f"{', '.join(known) or 'none'}"
            )
        host.write(made.as_df(engine="arrow"), table, mode)


# ---- What is given -------------------------------------------------------------------


def _text(function: object) -> str:
    if not isinstance(function, str) or not function:
        raise BadArgument(
            f"the function is {function!r}; give its key, 'project/name', or a name"
        )
    return function


def _object(given: Given, what: str) -> dict[str, Any]:
    """Return a JSON object, or a mapping, as a dict; None is an empty one.

    Raises:
        BadArgument: it is none.

    """
    if given is None or given == "":
        return {}
    found: Any = given
    if isinstance(given, str):
        try:
            found = json.loads(given)
        except ValueError as exc:
            raise BadArgument(f"{what} is not JSON: {exc}") from None
    if not isinstance(found, Mapping):
        raise BadArgument(
            f'{what} is not an object such as {{"x": 1}} but {found!r:.80}'
        )
    return dict(found)
