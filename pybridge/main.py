"""The Main API: what every host's entry points come to, with Python objects.

Each function takes the name of a context; none is "main". A `serialization` is one of
those of `pybridge.serialization`; none means the Python object itself.
"""

# ruff: noqa: A001, A002 - names are those of the contract, and objects the user's

from __future__ import annotations

from pybridge import context as contexts
from pybridge import source
from pybridge.context import get, reset
from pybridge.errors import BadArgument, Undefined
from pybridge.status import is_library, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Any

    from pybridge.context import Context
    from pybridge.output import Capture

__all__ = [
    "apply",
    "arguments",
    "call",
    "delete_context",
    "describe_context",
    "diff_contexts",
    "display_context",
    "evaluate",
    "execute_code",
    "execute_function",
    "execute_query",
    "export_context",
    "finalize",
    "get_function_info",
    "get_module_info",
    "get_schema",
    "get_status",
    "get_stream",
    "get_variable",
    "get_variable_defined",
    "get_variable_info",
    "get_variable_type",
    "import_context",
    "import_module",
    "initialize",
    "inspect_context",
    "job",
    "keywords",
    "list_contexts",
    "list_runs",
    "map",
    "open_shell",
    "resolve",
    "restore_context",
    "save_context",
    "search_contexts",
    "set_stream",
    "set_variable",
    "simple_string",
    "to_stream",
    "transfer_variables",
    "trust_context",
    "verify_context",
]


def simple_string(
    code: str,
    variable: str | None = None,
    serialization: str | None = None,
    *,
    context: str | None = None,
    capture: bool = False,
) -> Any:
    """Run code, then return a variable; without one, None.

    The variable is looked at only where the code succeeded.
    """
    execute_code(code, context=context, capture=capture)
    if not variable:
        return None
    return get_variable(variable, serialization, context=context)


def execute_code(
    code: str,
    variable: str | None = None,
    *,
    context: str | None = None,
    capture: bool = False,
) -> None:
    """Run code; with a variable, assign to it the value of the last expression.

    Raises:
        BadArgument: there is a variable, and the code does not end in an expression.

    """
    at = get(context)
    code = _text(code, "code")
    source.share()
    if not variable:
        compiled = source.compile_code(code)
        with _captured(at, capture):
            exec(compiled, at.namespace)
        return
    name = _plain_name(variable)
    first, last = source.compile_value(code)
    with _captured(at, capture):
        if first is not None:
            exec(first, at.namespace)
        value = eval(last, at.namespace)
    at.namespace[name] = value


def evaluate(
    expression: str,
    serialization: str | None = None,
    *,
    context: str | None = None,
    capture: bool = False,
) -> Any:
    """Return the value of one expression."""
    at = get(context)
    code = source.compile_expression(_text(expression, "expression"))
    with _captured(at, capture):
        return _given(eval(code, at.namespace), serialization)


def execute_function(
    function: str,
    args: str | Sequence[object] | None = None,
    kwargs: str | Mapping[str, object] | None = None,
    variable: str | None = None,
    serialization: str | None = None,
    *,
    context: str | None = None,
    capture: bool = False,
) -> Any:
    """Call a function with arguments given as JSON text, or as Python's own.

    The result is returned, and assigned to the variable where one is named.
    """
    at = get(context)
    name = _plain_name(variable) if variable else ""
    positional = arguments(args)
    named = keywords(kwargs)
    callee = _callee(function, at)
    with _captured(at, capture):
        result = callee(*positional, **named)
        given = _given(result, serialization)
    if name:
        at.namespace[name] = result
    return given


def call(
    function: str, /, *args: object, context: str | None = None, **kwargs: object
) -> Any:
    """Call a function with Python's own arguments.

    One that takes a keyword named "context" is called by execute_function.
    """
    return _callee(function, get(context))(*args, **kwargs)


def resolve(path: str, context: str | None = None) -> Any:
    """Return the object that an expression path names.

    Raises:
        Undefined: the context has it not, or has not what comes before it.

    """
    return _fetch(path, get(context))


def unresolved(path: str, exc: Exception, context: str | None = None) -> Exception:
    """Return what to raise for a path whose evaluation has raised `exc`."""
    message = _missing(path, get(context), exc, exc.__traceback__)
    return exc if message is None else Undefined(message)


def get_variable(
    variable: str, serialization: str | None = None, *, context: str | None = None
) -> Any:
    """Return a variable, or what any expression path names: `a.b[0]["k"]`.

    Raises:
        Undefined: the context has it not, or has not what comes before it.

    """
    return _given(_fetch(variable, get(context)), serialization)


def set_variable(variable: str, value: object, *, context: str | None = None) -> None:
    """Bind a value to a plain name.

    Raises:
        BadArgument: the name is not one that Python code could assign to.

    """
    get(context).namespace[_plain_name(variable)] = value


def get_variable_defined(variable: str, *, context: str | None = None) -> bool:
    """Tell whether a variable, or what an expression path names, is there."""
    try:
        _fetch(variable, get(context), only_asking=True)
    except Undefined:
        return False
    return True


def get_variable_type(variable: str, *, context: str | None = None) -> str:
    """Return the qualified name of a variable's class; builtins are bare.

    Raises:
        Undefined: the context has it not.

    """
    return type_name(type(_fetch(variable, get(context))))


def get_variable_info(
    variable: str, serialization: str | None = None, *, context: str | None = None
) -> dict[str, Any]:
    """Return {"defined", "type", "length"} of a variable.

    length is len() where the object has one; with a serialization, the size of that
    form, which costs making it.
    """
    try:
        value = _fetch(variable, get(context), only_asking=True)
    except Undefined:
        return {"defined": False, "type": None, "length": None}
    length = len(_given(value, serialization)) if serialization else _length(value)
    return {"defined": True, "type": type_name(type(value)), "length": length}


def get_function_info(function: str, *, context: str | None = None) -> dict[str, Any]:
    """Return {"defined", "type", "docs", "signature", "arguments"} of a callable.

    Raises:
        BadArgument: it is there, but cannot be called.

    """
    try:
        found = _fetch(function, get(context), only_asking=True)
    except Undefined:
        found = None
        defined = False
    else:
        defined = True
    from pybridge import _describe

    return _describe.function_info(function, found, defined)


def import_module(
    module: str, alias: str | None = None, *, context: str | None = None
) -> tuple[bool, str]:
    """Import a module; return whether the context had it before, and its alias there.

    Without an alias the name is the one that it has there already, or its own.
    """
    from pybridge import _describe

    name = _plain_name(alias) if alias else None
    return _describe.import_module(_text(module, "module"), name, get(context))


def get_module_info(module: str, *, context: str | None = None) -> dict[str, Any]:
    """Return {"imported", "alias"} of a module in the context."""
    from pybridge import _describe

    alias = _describe.alias_of(_text(module, "module"), get(context).namespace)
    return {"imported": alias is not None, "alias": alias}


def get_status(*, context: str | None = None) -> dict[str, Any] | None:
    """Return the last failure and captured output of the context, and forget them."""
    return get(context).status.take()


def initialize(
    file: str | None = None, *, context: str | None = None
) -> dict[str, Any] | None:
    """Run an initializer in a context, once; return its report as JSON-ready values.

    Without a file it is the one of the settings, which has run already where the
    context was made by then; None where the settings have none.

    Raises:
        BadArgument: the file is not there, or says what there is not.

    """
    from pybridge.initializer import Initializer

    found = Initializer.from_settings(file)
    return None if found is None else found.run(context).json()


def job(
    function: str,
    inputs: str | Mapping[str, object] | None = None,
    parameters: str | Mapping[str, object] | None = None,
    options: str | Mapping[str, object] | None = None,
    *,
    context: str | None = None,
) -> dict[str, Any]:
    """Run a stored function, wait for its end, and return what became of it.

    What may be given is told by `pybridge.functions.jobs.start`; the context of the
    caller is not the function's.

    Raises:
        RunFailed: the function failed, and the option `raise` is not false.
        Undefined: there is no such function.

    """
    del context
    from pybridge.functions import jobs

    return jobs.start(function, inputs, parameters, options)


def list_runs(
    project: str | None = None, *, context: str | None = None
) -> list[dict[str, Any]]:
    """Return a line about each run of a project, or of all, the newest first."""
    del context
    from pybridge.functions import jobs

    return jobs.runs(project)


def open_shell(
    options: str | Mapping[str, object] | None = None, *, context: str | None = None
) -> int:
    """Let the user work in Python on a context, and return their exit code.

    The options are the keyword arguments of `pybridge.shell.interact`.
    """
    from pybridge import shell

    chosen: dict[str, Any] = _mapping(options, "options")
    unknown = chosen.keys() - {"code", "banner", "prompts"}
    if unknown:
        raise BadArgument(
            f"the shell has no option {min(unknown)!r}; it has code, banner, prompts"
        )
    return shell.interact(context, **chosen)


def _begin(at: Context) -> None:
    from pybridge import initializer

    initializer.begin(at)


contexts.BEGIN = _begin


def finalize() -> None:
    """Drop all contexts and forget the user's modules; Python goes on running."""
    reset()


def set_stream(
    variable: str,
    stream: object,
    type: str | None = "dataframe",
    options: str | Mapping[str, object] | None = None,
    *,
    context: str | None = None,
) -> int:
    """Make a frame of an Arrow stream, assign it, and return how many rows it has."""
    from pybridge import columnar

    name = _plain_name(variable)
    frame, rows = columnar.load(
        stream, type or "dataframe", _mapping(options, "options")
    )
    get(context).namespace[name] = frame
    return rows


def execute_query(
    sql: str,
    variable: str,
    type: str | None = "dataframe",
    namespace: object = None,
    options: str | Mapping[str, object] | None = None,
    *,
    params: Sequence[object] | Mapping[str, object] | None = None,
    context: str | None = None,
) -> int:
    """Make a frame of a query's rows, assign it, and return how many rows it has.

    namespace: None or "" is the host itself; otherwise the name of a connection, an
    ODBC connection string or a connection, as `pybridge.connections` says. A statement
    that gives no rows returns how many it has changed. `params` may be in the options.

    Raises:
        DatabaseError: the other database refuses.
        HostError: the host refuses, or no call of a host is in progress.
        Undefined: there is no connection of that name.

    """
    from pybridge import host

    name = _plain_name(variable)
    chosen = _mapping(options, "options")
    within = chosen.pop("namespace", None)
    bound = chosen.pop("params", None)
    if bound is not None and params is not None:
        raise BadArgument("the parameters are given twice, once in the options")
    frame, rows = host.frame(
        _text(sql, "sql"),
        bound if params is None else params,
        type or "dataframe",
        chosen,
        namespace or within,
        context,
    )
    get(context).namespace[name] = frame
    return rows


def get_stream(
    variable: str,
    columns: Sequence[str] | None = None,
    *,
    context: str | None = None,
) -> Any:
    """Return the rows of a frame: an object with `__arrow_c_stream__`."""
    from pybridge import columnar

    return columnar.to_stream(_fetch(variable, get(context)), columns)


def to_stream(frame: object, columns: Sequence[str] | None = None) -> Any:
    """Return the rows of a frame object: an object with `__arrow_c_stream__`."""
    from pybridge import columnar

    return columnar.to_stream(frame, columns)


def get_schema(variable: str, *, context: str | None = None) -> Any:
    """Return the columns of a frame: an object with `__arrow_c_schema__`."""
    from pybridge import columnar

    return columnar.to_schema(_fetch(variable, get(context)))


def apply(function: Any, stream: object) -> Any:
    """Call a function with the columns of a stream as numpy arrays."""
    from pybridge import columnar

    return columnar.apply(function, stream)


def map(function: Any, stream: object) -> Any:
    """Do as `apply`, and return the columns that come back as an Arrow stream."""
    from pybridge import columnar

    return columnar.map(function, stream)


# ---- Snapshots ----------------------------------------------------------------------
# `snapshot` is the number of one, or a name: the newest of that name. `store` is the
# path of a store's file; none is that of the host, and outside of one that of the user.


def save_context(
    name: str = "",
    mask: str = "*",
    max_length: int = 0,
    description: str = "",
    *,
    context: str | None = None,
    store: str | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> dict[str, Any]:
    """Keep a context; return the report, in which "id" is the snapshot's number.

    max_length is the largest pickle of a name in bytes, 0 = any. What cannot be kept is
    in the report's "skipped" with its reason, and stops nothing. `progress` is called
    with how many bytes are written, and of how many.
    """
    from pybridge import snapshot as snapshots

    if max_length < 0:
        raise BadArgument(f"max_length is bytes, 0 = any number; {max_length} came")
    with snapshots.Store.open(store) as opened:
        report = snapshots.save(
            context,
            name,
            mask,
            max_length,
            description,
            store=opened,
            progress=progress,
        )
        return report.json()


def restore_context(
    snapshot: int | str,
    mask: str = "*",
    clear: bool = False,
    *,
    mode: str = "full",
    strict: bool = True,
    trust: bool = False,
    context: str | None = None,
    store: str | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> dict[str, Any]:
    """Put a snapshot back into a context, which is emptied before with `clear`.

    mode "safe" restores nothing that could run code. On failure the context is as it
    was. `progress` is called with how many bytes are restored, and of how many.

    Raises:
        NotTrusted: the snapshot is unsigned, changed or signed by another key.
        UnknownSnapshot: the store has none such.

    """
    from pybridge import snapshot as snapshots

    with snapshots.Store.open(store) as opened:
        report = snapshots.restore(
            snapshot,
            mask,
            clear,
            context=context,
            mode=mode,
            strict=strict,
            progress=progress,
            trust=trust,
            store=opened,
        )
        return report.json()


def display_context(
    snapshot: int | str | None = None,
    *,
    context: str | None = None,
    store: str | None = None,
) -> str:
    """Return a text for people about a snapshot; none is the context as it is now."""
    from pybridge import snapshot as snapshots

    if snapshot is None:
        return snapshots.describe(None, context=context).text()
    with snapshots.Store.open(store) as opened:
        return snapshots.describe(snapshot, store=opened).text()


def describe_context(
    snapshot: int | str | None = None,
    *,
    context: str | None = None,
    store: str | None = None,
) -> dict[str, Any]:
    """Return the same as data: what the snapshot is, and its "items"."""
    from pybridge import _listings as rows
    from pybridge import snapshot as snapshots

    if snapshot is None:
        return rows.description(snapshots.describe(None, context=context))
    with snapshots.Store.open(store) as opened:
        return rows.description(snapshots.describe(snapshot, store=opened))


def list_contexts(*, store: str | None = None) -> list[dict[str, Any]]:
    """Return the snapshots of a store, the newest first."""
    from pybridge import _listings as rows
    from pybridge import snapshot as snapshots

    with snapshots.Store.open(store) as opened:
        return rows.summaries(snapshots.contexts(opened))


def search_contexts(
    name: str | None = None,
    type: str | None = None,
    text: str | None = None,
    after: str | None = None,
    before: str | None = None,
    *,
    store: str | None = None,
) -> list[dict[str, Any]]:
    """Return the items of all snapshots for which all that is given holds.

    name and type are masks; text stands in the name, type, preview or JSON; after and
    before are the time of saving as ISO text.
    """
    from pybridge import _listings as rows
    from pybridge import snapshot as snapshots

    with snapshots.Store.open(store) as opened:
        found = snapshots.search(
            name=name, type=type, text=text, after=after, before=before, store=opened
        )
        return rows.found(found)


def diff_contexts(
    a: int | str, b: int | str, *, store: str | None = None
) -> list[dict[str, Any]]:
    """Return what two snapshots do not have in common, from `a` to `b`."""
    from pybridge import _listings as rows
    from pybridge import snapshot as snapshots

    with snapshots.Store.open(store) as opened:
        return rows.difference(snapshots.diff(a, b, store=opened))


def delete_context(snapshot: int | str, *, store: str | None = None) -> int:
    """Remove a snapshot and return its number."""
    from pybridge import snapshot as snapshots

    with snapshots.Store.open(store) as opened:
        number = opened.resolve(snapshot)
        snapshots.delete(number, store=opened)
        return number


def transfer_variables(
    variables: str, source: str | None = None, target: str | None = None
) -> dict[str, Any]:
    """Carry variables, given as a mask, from one live context to another.

    The objects are the same ones in both.
    """
    from pybridge import snapshot as snapshots

    return snapshots.transfer(variables, source, target).json()


def export_context(snapshot: int | str, path: str, *, store: str | None = None) -> None:
    """Write a snapshot with all that belongs to it to one file."""
    from pybridge import snapshot as snapshots

    with snapshots.Store.open(store) as opened:
        snapshots.export(snapshot, path, store=opened)


def import_context(path: str, *, store: str | None = None) -> int:
    """Read such a file into a store and return the snapshot's number there."""
    from pybridge import snapshot as snapshots

    with snapshots.Store.open(store) as opened:
        return snapshots.load(path, store=opened)


def inspect_context(
    snapshot: int | str, *, store: str | None = None
) -> list[dict[str, Any]]:
    """Return what restoring would import, found without loading any pickle."""
    from pybridge import _listings as rows
    from pybridge import snapshot as snapshots

    with snapshots.Store.open(store) as opened:
        return rows.imports(snapshots.inspect(snapshot, store=opened))


def verify_context(snapshot: int | str, *, store: str | None = None) -> dict[str, Any]:
    """Read all of a snapshot and tell whether it is what was saved."""
    from pybridge import snapshot as snapshots

    with snapshots.Store.open(store) as opened:
        return snapshots.verify(snapshot, store=opened).json()


def trust_context(snapshot: int | str, *, store: str | None = None) -> int:
    """Sign a snapshot as it is now with this user's key, and return its number."""
    from pybridge import snapshot as snapshots

    with snapshots.Store.open(store) as opened:
        number = opened.resolve(snapshot)
        snapshots.trust(number, store=opened)
        return number


# ---- Names and paths ----------------------------------------------------------------


def _fetch(path: str, at: Context, *, only_asking: bool = False) -> Any:
    """Return what an expression path names.

    An exception that comes out of the user's own code, such as a property, is that
    code's, but where one is only asking whether it is there.
    """
    namespace = at.namespace
    try:
        return namespace[path]
    except (KeyError, TypeError):
        pass
    code = source.compile_expression(_text(path, "variable"))
    try:
        return eval(code, namespace)
    except (NameError, AttributeError, LookupError) as exc:
        own = exc.__traceback__.tb_next if exc.__traceback__ is not None else None
        message = _missing(path, at, exc, own, only_asking)
        if message is None:
            raise
    raise Undefined(message)


def _missing(
    path: str,
    at: Context,
    exc: Exception,
    own: TracebackType | None,
    only_asking: bool = False,
) -> str | None:
    """Return what a path lacks that has failed in its `own` frame, None = no path."""
    if own is None or (not only_asking and _passes_user_code(own.tb_next)):
        return None
    from pybridge import _describe

    return _describe.missing(path, own, at, exc) if _describe.is_path(path) else None


def _passes_user_code(trace: TracebackType | None) -> bool:
    while trace is not None:
        if not is_library(trace.tb_frame.f_code.co_filename):
            return True
        trace = trace.tb_next
    return False


def _callee(path: str, at: Context) -> Any:
    """Return the callable that a path names."""
    found = _fetch(path, at)
    if not callable(found):
        raise BadArgument(
            f"'{path}' cannot be called: it is of type {type_name(type(found))}"
        )
    return found


def _plain_name(name: object) -> str:
    """Return a name as the compiler would spell it."""
    text = _text(name, "variable")
    if not text.isascii():
        from unicodedata import normalize

        text = normalize("NFKC", text)
    from keyword import iskeyword

    if not text.isidentifier() or iskeyword(text):
        raise BadArgument(f"'{text}' is not a name that a value can be assigned to")
    return text


def _text(value: object, what: str) -> str:
    if isinstance(value, str):
        if not value:
            if what == "code":
                return value
            raise BadArgument(f"the {what} is missing")
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError as exc:
            raise BadArgument(
                f"the {what} is not UTF-8: byte 0x{exc.object[exc.start]:02x} "
                f"at position {exc.start}"
            ) from None
    raise BadArgument(f"the {what} is of type {type(value).__name__}, not text")


# ---- Values and arguments -----------------------------------------------------------


def _given(value: object, serialization: str | None) -> Any:
    if not serialization:
        return value
    from pybridge import serialization as forms

    return forms.dumps(value, serialization)


def _length(value: Any) -> int | None:
    if isinstance(value, type):
        return None
    try:
        return len(value)
    except Exception:
        return None


def arguments(args: str | Sequence[object] | None) -> Sequence[object]:
    """Return positional arguments from a JSON array or a sequence."""
    if args is None or (isinstance(args, str) and not args.strip()):
        return ()
    values = _json(args, "args") if isinstance(args, str) else args
    if isinstance(values, (list, tuple)):
        return values
    if isinstance(args, str) or isinstance(values, (bytes, dict)):
        raise BadArgument(f"args is not a JSON array but {_kind(values)}")
    try:
        return list(values)
    except TypeError:
        raise BadArgument(f"args is not a sequence but {_kind(values)}") from None


def keywords(kwargs: str | Mapping[str, object] | None) -> dict[str, object]:
    """Return keyword arguments from a JSON object or a mapping."""
    values = _mapping(kwargs, "kwargs")
    for key in values:
        if not isinstance(key, str):
            raise BadArgument(f"kwargs has the key {key!r}, which is not text")
    return values


def _mapping(given: str | Mapping[str, object] | None, what: str) -> dict[str, object]:
    """Return a dict from a JSON object or a mapping."""
    if given is None or (isinstance(given, str) and not given.strip()):
        return {}
    values: Any = _json(given, what) if isinstance(given, str) else given
    if isinstance(values, dict) or not isinstance(given, str):
        try:
            return dict(values)
        except (TypeError, ValueError):
            pass
    raise BadArgument(f"{what} is not a JSON object but {_kind(values)}")


def _json(text: str, what: str) -> Any:
    from pybridge import serialization as forms

    try:
        return forms.loads(text, "json")
    except ValueError as exc:
        raise BadArgument(f"{what} is not JSON: {exc}") from None


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "text", type(None): "null"}
    return names.get(type(value)) or f"of type {type_name(type(value))}"


# ---- Output -------------------------------------------------------------------------


class _NotCaptured:
    """Do nothing."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


_NOT_CAPTURED = _NotCaptured()


def _captured(at: Context, capture: bool) -> Capture | _NotCaptured:
    if not capture:
        return _NOT_CAPTURED
    from pybridge.output import Capture

    return Capture(at.status)
