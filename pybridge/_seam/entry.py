"""The entries of the control plane: what the library's C functions cross over to.

Each takes addresses and C text, calls the Main API, and answers 1, or what
`_plane.fail` answers. Only here are cffi's `ffi` and `lib` known.
"""

from __future__ import annotations

from _pybridge import ffi, lib

from pybridge import _plane, main, output
from pybridge.context import get
from pybridge.errors import BadArgument, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Entry = Callable[..., None]

__all__: list[str] = []

_CAPTURE = 1  # PYB_CAPTURE in pybridge.h
_FAILED = -12  # -PYB_INTERNAL, where even failing failed


def _entry(function: Entry) -> Entry:
    """Make a function the body of the library's entry of the same name.

    It is called with the session's context and the entry's arguments, but for the
    first (the session) and the last (the error).
    """

    def cross(session: int, *args: Any) -> int:
        try:
            context = _text(lib.pyb__session_context(session))
            if lib.pyb__session_flags(session) & _CAPTURE:
                with output.Capture(get(context).status):
                    function(context, *args[:-1])
            else:
                function(context, *args[:-1])
        except BaseException as exc:
            return _plane.fail(exc, session, args[-1])
        return 1

    ffi.def_extern(
        name=f"pyb__py_{function.__name__}", error=_FAILED, onerror=_stopped
    )(cross)
    return function


def _stopped(_kind: object, exc: BaseException | None, trace: Any) -> int | None:
    """Answer for a call that was stopped while it was failing, or about to return."""
    if exc is None or trace is None or "args" not in trace.tb_frame.f_locals:
        return None
    known = trace.tb_frame.f_locals
    return _plane.fail(exc, known["session"], known["args"][-1])


def _text(text: Any) -> str | None:
    """Return the text of a NUL-terminated string; NULL is None."""
    return None if text == ffi.NULL else ffi.string(text).decode()


def _code(code: Any, size: int) -> str:
    return str(ffi.buffer(code, size), "utf-8")


def _json(value: object) -> str:
    from pybridge import serialization

    return str(serialization.dumps(value, "json"))


@_entry
def simple_string(
    context: str, code: Any, size: int, variable: Any, form: Any, result: int
) -> None:
    value = main.simple_string(
        _code(code, size), _text(variable), _text(form), context=context
    )
    _plane.dump(value, result)


@_entry
def execute_code(context: str, code: Any, size: int, variable: Any) -> None:
    main.execute_code(_code(code, size), _text(variable), context=context)


@_entry
def evaluate(context: str, expression: Any, size: int, form: Any, result: int) -> None:
    value = main.evaluate(_code(expression, size), _text(form), context=context)
    _plane.dump(value, result)


def _dump_if(value: object, result: int, wanted: bool) -> None:
    """Dump a result; one that is kept in a variable need not have a counterpart."""
    try:
        _plane.dump(value, result)
    except Unsupported:
        if wanted:
            raise


@_entry
def execute_function(
    context: str,
    function: Any,
    args: Any,
    kwargs: Any,
    variable: Any,
    form: Any,
    result: int,
) -> None:
    value = main.execute_function(
        _text(function) or "",
        _text(args),
        _text(kwargs),
        _text(variable),
        _text(form),
        context=context,
    )
    _dump_if(value, result, form != ffi.NULL or variable == ffi.NULL)


@_entry
def execute_function_args(
    context: str,
    function: Any,
    args: int,
    n: int,
    names: Any,
    n_names: int,
    variable: Any,
    form: Any,
    result: int,
) -> None:
    size = lib.pyb__value_size()
    values = [_plane.load(args + i * size) for i in range(n)]
    keywords = [_text(names[i]) for i in range(n_names)]
    cut = n - n_names
    value = main.execute_function(
        _text(function) or "",
        values[:cut],
        dict(zip(keywords, values[cut:], strict=True)),  # type: ignore[arg-type]
        _text(variable),
        _text(form),
        context=context,
    )
    _dump_if(value, result, form != ffi.NULL or variable == ffi.NULL)


@_entry
def get_variable(context: str, variable: Any, form: Any, result: int) -> None:
    value = main.get_variable(_text(variable) or "", _text(form), context=context)
    _plane.dump(value, result)


@_entry
def set_variable(context: str, variable: Any, value: int) -> None:
    main.set_variable(_text(variable) or "", _plane.load(value), context=context)


@_entry
def get_variable_info(context: str, variable: Any, form: Any, result: int) -> None:
    info = main.get_variable_info(_text(variable) or "", _text(form), context=context)
    _plane.dump(_json(info), result)


@_entry
def get_function_info(context: str, function: Any, result: int) -> None:
    info = main.get_function_info(_text(function) or "", context=context)
    _plane.dump(_json(info), result)


@_entry
def import_module(context: str, module: Any, alias: Any, result: int) -> None:
    imported, name = main.import_module(
        _text(module) or "", _text(alias), context=context
    )
    _plane.dump(_json({"imported": imported, "alias": name}), result)


@_entry
def get_module_info(context: str, module: Any, result: int) -> None:
    info = main.get_module_info(_text(module) or "", context=context)
    _plane.dump(_json(info), result)


@_entry
def initialize(context: str, file: Any, result: int) -> None:
    report = main.initialize(_text(file), context=context)
    _plane.dump(None if report is None else _json(report), result)


@_entry
def job(
    context: str, function: Any, inputs: Any, parameters: Any, options: Any, result: int
) -> None:
    given = (_text(one) for one in (inputs, parameters, options))
    told = main.job(_text(function) or "", *given, context=context)
    _plane.dump(_json(told), result)


@_entry
def list_runs(context: str, project: Any, result: int) -> None:
    _plane.dump(_json(main.list_runs(_text(project), context=context)), result)


@_entry
def get_status(context: str, result: int) -> None:
    report = main.get_status(context=context)
    _plane.dump(None if report is None else _json(report), result)


@_entry
def shell(context: str, name: Any, options: Any, code: Any) -> None:
    code[0] = main.open_shell(_text(options), context=_text(name) or context)


@_entry
def set_stream(
    context: str, variable: Any, kind: Any, options: Any, rows: int, count: Any
) -> None:
    count[0] = main.set_stream(
        _text(variable) or "",
        _plane.capsule(rows),
        _text(kind),
        _text(options),
        context=context,
    )


@_entry
def execute_query(
    context: str,
    sql: Any,
    size: int,
    variable: Any,
    kind: Any,
    namespace: Any,
    options: Any,
    params: int,
    names: Any,
    n: int,
    count: Any,
) -> None:
    count[0] = main.execute_query(
        _code(sql, size),
        _text(variable) or "",
        _text(kind),
        _text(namespace),
        _text(options),
        params=_parameters(params, names, n),
        context=context,
    )


def _parameters(
    params: int, names: Any, n: int
) -> list[object] | dict[str, object] | None:
    """Return the parameters of a query; None where there are none.

    Raises:
        BadArgument: some have a name and some have none.

    """
    if n == 0:
        return None
    step = lib.pyb__value_size()
    values = [_plane.load(params + i * step) for i in range(n)]
    if names == ffi.NULL:
        return values
    given = {
        name: value
        for i, value in enumerate(values)
        if (name := _text(names[i])) is not None
    }
    if not given:
        return values
    if len(given) < n:
        raise BadArgument("parameters have all a name of their own, or none has one")
    return given


@_entry
def get_stream(context: str, variable: Any, columns: Any, n: int, rows: int) -> None:
    names = None if columns == ffi.NULL else [_text(columns[i]) or "" for i in range(n)]
    frame = main.get_stream(_text(variable) or "", names, context=context)
    _plane.stream(frame, rows)


@_entry
def get_schema(context: str, variable: Any, schema: int) -> None:
    _plane.schema(main.get_schema(_text(variable) or "", context=context), schema)


@_entry
def snapshot(
    context: str, verb: Any, texts: Any, n: int, number: Any, result: int
) -> None:
    from pybridge._seam import snapshots

    given = [_text(texts[i]) for i in range(n)]
    number[0], answer = snapshots.run(_text(verb) or "", context, number[0], given)
    if result:
        _plane.dump(
            answer if answer is None or isinstance(answer, str) else _json(answer),
            result,
        )


@_entry
def finalize(context: str) -> None:  # noqa: ARG001 (each entry is given it)
    main.finalize()
