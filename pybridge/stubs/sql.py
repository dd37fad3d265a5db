"""SQL: a script of py_define, after which `random_randint(1, 6)` is a function."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pybridge.stubs.words import (
    Names,
    call_text,
    comment_lines,
    expression,
    functions_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybridge.stubs.survey import Constant, Function, Module
    from pybridge.stubs.words import Options

__all__ = ["write"]

# As many arguments as SQLite passes, as it is built by default.
_MOST = 127
_LONGEST = 255  # bytes of a function's name

# Functions of SQLite and of its shell; only names of several words can be in the way.
_RESERVED = """
    cume_dist current_date current_time current_timestamp decimal_add decimal_cmp
    decimal_mul decimal_sub decimal_sum dense_rank first_value fts3_tokenizer
    generate_series group_concat ieee754_exponent ieee754_from_blob ieee754_mantissa
    ieee754_to_blob json_array json_array_insert json_array_length json_each
    json_error_position json_extract json_group_array json_group_object json_insert
    json_object json_patch json_pretty json_quote json_remove json_replace json_set
    json_tree json_type json_valid jsonb_array jsonb_extract jsonb_group_array
    jsonb_group_object jsonb_insert jsonb_object jsonb_patch jsonb_remove
    jsonb_replace jsonb_set last_insert_rowid last_value load_extension nth_value
    percent_rank percentile_cont percentile_disc row_number sha3_query string_agg
    shell_add_schema shell_escape_crnl shell_idquote shell_int32 shell_module_schema
    shell_putsnl sqlar_compress sqlar_uncompress sqlite_compileoption_get
    sqlite_compileoption_used sqlite_log sqlite_offset sqlite_source_id
    sqlite_version total_changes
"""

# Modules whose functions give the same for the same, whatever else happens. SQLite may
# call those less often.
_PURE = frozenset(
    (
        "base64",
        "binascii",
        "cmath",
        "colorsys",
        "fnmatch",
        "html",
        "keyword",
        "math",
        "operator",
        "statistics",
        "textwrap",
        "unicodedata",
        "zlib",
    )
)


def write(module: Module, options: Options) -> str:
    """Return the script."""
    return "\n".join([*_head(module, options), *_Writer(module, options).lines(), ""])


def _head(module: Module, options: Options) -> list[str]:
    lines = [
        f"The Python module {module.name} as SQL functions, for one connection.",
        "",
        "Written by: pybridge stubs --target sql. A result without an SQL type comes",
        "as JSON, and what JSON functions make arrives as lists and dicts. py_kw(name,",
        "value) gives an argument by its name. The first argument of a method is its",
        "object, or what its class makes one of: a JSON array holds the arguments of",
        "the constructor, anything else is the one argument.",
    ]
    docs = comment_lines(module.docs, options)
    return [_comment(line) for line in [*lines, *([""] if docs else []), *docs]]


def _comment(line: str) -> str:
    return f"-- {line}".rstrip()


class _Writer:
    def __init__(self, module: Module, options: Options) -> None:
        self._module = module
        self._options = options
        self._names = Names(_RESERVED.split(), fold=True, size=_LONGEST)
        self._named: dict[str, str] = {}

    def lines(self) -> Iterator[str]:
        """Yield the lines of all definitions."""
        for function in functions_of(self._module):
            yield from self._function(function)
        for constant in self._module.constants:
            yield from self._constant(constant)
        for one in self._module.classes:
            for constant in one.constants:
                yield from self._constant(constant)
        yield from self._aliases()

    def _name(self, path: str) -> str:
        words = f"{self._module.name}.{path}".replace(".", "_")
        return self._names.take(f"{self._options.prefix}{words}")

    def _function(self, function: Function) -> Iterator[str]:
        name = self._name(function.path)
        self._named[function.path] = name
        yield ""
        yield _comment(f"{name}: {call_text(self._module.name, function)}")
        for line in comment_lines(function.docs, self._options):
            yield _comment(f"  {line}")
        if _required(function) > _MOST:
            path = f"{self._module.name}.{function.path}"
            yield _comment(f"  SQL passes {_MOST} arguments at most; import the module")
            yield _comment(f"  and use py_apply('{path}', a JSON array)")
        else:
            yield _define(name, self._callable(function), self._settings(function))

    def _callable(self, function: Function) -> str:
        cls, _, name = function.path.rpartition(".")
        if function.kind not in {"method", "property"}:
            return expression(self._module.name, function.path)
        how = "method" if function.kind == "method" else "value"
        helper = expression("pybridge.stubs.call", how)
        return f'{helper}("{self._module.name}", "{cls}", "{name}")'

    def _settings(self, function: Function) -> dict[str, object]:
        settings: dict[str, object] = {"json": True}
        arity = _arity(function)
        if arity >= 0:
            settings["arity"] = arity
        if any(one.default == "None" for one in function.parameters or ()):
            settings["null"] = "special"
        if function.kind == "function" and self._module.name in _PURE:
            settings["deterministic"] = True
        return settings

    def _constant(self, constant: Constant) -> Iterator[str]:
        name = self._name(constant.path)
        yield ""
        yield _comment(f"{name}: {self._module.name}.{constant.path}, {constant.type}")
        callable_ = f"lambda: {expression(self._module.name, constant.path)}"
        yield _define(name, callable_, {"arity": 0, "json": True})

    def _aliases(self) -> Iterator[str]:
        functions = {one.path: one for one in functions_of(self._module)}
        for alias, path in self._module.aliases:
            function = functions.get(path)
            if function is None or _required(function) > _MOST:
                continue
            name = self._name(alias)
            yield ""
            yield _comment(f"{name}: another name of {self._named[path]}")
            callable_ = expression(self._module.name, alias)
            yield _define(name, callable_, self._settings(function))


def _required(function: Function) -> int:
    own = 1 if function.kind in {"method", "property"} else 0
    return own + sum(one.required for one in function.parameters or ())


def _arity(function: Function) -> int:
    """Return how many arguments it takes, or -1 where that is not one number."""
    fixed = function.parameters is not None and all(
        one.required and one.kind.startswith("positional")
        for one in function.parameters
    )
    return _required(function) if fixed else -1


def _define(name: str, callable_: str, settings: dict[str, object]) -> str:
    # Nothing is printed: the condition is never true.
    return (
        f"select 0 where py_define({_quote(name)}, 'scalar', {_quote(callable_)}, "
        f"{_quote(json.dumps(settings))}) notnull;"
    )


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
