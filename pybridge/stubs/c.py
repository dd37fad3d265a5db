"""C: a header of static inline functions, `py_random_randint(&session, ...)`.

Required arguments are values, those with defaults members of a struct that may be NULL.
Objects are handles.
"""

from __future__ import annotations

import json
import re
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

    from pybridge.stubs.survey import Constant, Function, Module, Parameter
    from pybridge.stubs.words import Options

__all__ = ["write"]

# Keywords, what the wrappers call their own, and macros that any program may have.
_RESERVED = """
    alignas alignof and asm auto bitand bitor bool break case catch char class compl
    const constexpr continue default delete do double else enum errno explicit
    export extern false float for friend goto if inline int linux long mutable
    namespace new not nullptr operator or private protected public register restrict
    return short signed sizeof static static_assert struct switch template this
    thread_local throw true try typedef typename typeof typeof_unqual union unix
    unsigned using virtual void volatile while xor assert complex i386 imaginary
    isnan noreturn offsetof stderr stdin stdout EOF FILE I INFINITY NAN NDEBUG NULL
    session self options result error arguments rest n_args extra_names extra_values
    n_extra
"""

# What all headers share; the first that is included brings it.
_SHARED = """\
#ifndef PYB_STUBS
#define PYB_STUBS

/* Values to pass. For an argument with a default, its address: &PYB_STUB_INT(3). */
#define PYB_STUB_INT(x) ((pyb_value){.type = PYB_INT64, .integer = (x)})
#define PYB_STUB_REAL(x) ((pyb_value){.type = PYB_FLOAT64, .real = (x)})
#define PYB_STUB_BOOL(x) ((pyb_value){.type = PYB_BOOL, .integer = (x) != 0})
#define PYB_STUB_TEXT(x)                                                              \\
  ((pyb_value){.type = PYB_TEXT, .data = (x), .size = strlen(x)})
#define PYB_STUB_JSON(x)                                                              \\
  ((pyb_value){.type = PYB_JSON, .data = (x), .size = strlen(x)})
#define PYB_STUB_HANDLE(x)                                                            \\
  ((pyb_value){.type = PYB_HANDLE, .integer = (int64_t)(x)})

/* An argument; name NULL = it goes by position, value NULL = it was not given. */
typedef struct pyb_stub_argument {
  const char *name;
  const pyb_value *value;
} pyb_stub_argument;

/* What goes behind the arguments that have names of their own. */
typedef struct pyb_stub_rest {
  const pyb_value *args; /* by position */
  size_t n_args;
  const char *const *names; /* by keyword */
  const pyb_value *values;
  size_t n_named;
} pyb_stub_rest;

/* Call what the expression names, or the method of self where that is not 0. With made
 * not NULL, keep what it returns there; otherwise it comes as a value, or as a handle
 * where it has no other type. */
static inline PYB_CHECK pyb_status pyb_stub_call(
    const pyb_session *session, const char *callable, pyb_handle self,
    const pyb_stub_argument *arguments, size_t n, pyb_stub_rest rest, pyb_handle *made,
    pyb_value *result, pyb_error *error) {
  size_t room = n + rest.n_args + rest.n_named + 1, count = 0, n_names = 0;
  pyb_value *values = (pyb_value *)malloc(room * sizeof *values);
  const char **names = (const char **)malloc(room * sizeof *names);
  pyb_status status = PYB_OK;
  pyb_handle callee = self;
  int gap = 0;

  if (made != NULL)
    *made = 0;
  else
    *result = PYB_EMPTY;
  if (values == NULL || names == NULL)
    status = PYB_NO_MEMORY;
  for (size_t i = 0; i < n && status == PYB_OK; i++) {
    if (arguments[i].name != NULL)
      continue;
    if (arguments[i].value == NULL)
      gap = 1;
    else if (gap)
      status = PYB_BAD_ARGUMENT;
    else
      values[count++] = *arguments[i].value;
  }
  if (gap && rest.n_args > 0)
    status = PYB_BAD_ARGUMENT;
  for (size_t i = 0; i < rest.n_args && status == PYB_OK; i++)
    values[count++] = rest.args[i];
  for (size_t i = 0; i < n && status == PYB_OK; i++)
    if (arguments[i].name != NULL && arguments[i].value != NULL) {
      names[n_names++] = arguments[i].name;
      values[count++] = *arguments[i].value;
    }
  for (size_t i = 0; i < rest.n_named && status == PYB_OK; i++) {
    names[n_names++] = rest.names[i];
    values[count++] = rest.values[i];
  }
  if (status != PYB_OK) {
    if (error != NULL) {
      memset(error, 0, sizeof *error);
      error->status = status;
      strcpy(error->message, status == PYB_NO_MEMORY
                                 ? "out of memory"
                                 : "an argument is missing before one that is given");
    }
  } else if (made != NULL) {
    status = pyb_handle_new(session, callable, values, count, names, n_names, made,
                            error);
  } else {
    if (self == 0)
      status = pyb_handle_of(session, callable, &callee, error);
    if (status == PYB_OK)
      status = pyb_handle_call(session, callee, self == 0 ? NULL : callable, values,
                               count, names, n_names, PYB_AS_FITS, result, error);
    if (self == 0 && callee != 0)
      (void)!pyb_handle_release(session, callee, NULL);
  }
  free(names);
  free(values);
  return status;
}

/* Read an attribute of what the expression names. */
static inline PYB_CHECK pyb_status pyb_stub_get(const pyb_session *session,
                                                const char *owner, const char *name,
                                                pyb_value *result, pyb_error *error) {
  pyb_handle handle = 0;
  pyb_status status = pyb_handle_of(session, owner, &handle, error);

  *result = PYB_EMPTY;
  if (status != PYB_OK)
    return status;
  status = pyb_handle_get(session, handle, name, PYB_AS_FITS, result, error);
  (void)!pyb_handle_release(session, handle, NULL);
  return status;
}

#endif /* PYB_STUBS */"""


def write(module: Module, options: Options) -> str:
    """Return the text of the header."""
    return "\n".join(_Writer(module, options).lines()) + "\n"


def _string(text: str) -> str:
    """Return a C string literal; Python identifiers may have any letters."""
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted.replace("??", '?""?')


def _comment(lines: list[str]) -> Iterator[str]:
    """Yield a comment: nothing in it ends it, or begins another."""
    safe = [
        line.replace("*/", "* /").replace("/*", "/ *").replace("??/", "?? /")
        for line in lines
    ]
    safe = [f"{line}." if line.endswith("\\") else line for line in safe]
    first, *others = safe
    yield f"/* {first}" if others else f"/* {first} */"
    for line in others[:-1]:
        yield f" * {line}".rstrip()
    if others:
        yield f" * {others[-1]} */"


class _Writer:
    def __init__(self, module: Module, options: Options) -> None:
        self._module = module
        self._options = options
        self._begin = "_".join([options.package or "py", *module.name.split(".")])
        self._names = Names(_RESERVED.split())

    def lines(self) -> Iterator[str]:
        """Yield the lines of the header."""
        name = self._module.name
        guard = f"{self._begin}_STUBS_H".upper()
        yield from _comment(
            [
                f"The Python module {name} as C functions.",
                "",
                "Written by: pybridge stubs --target c. A result is to be released; it",
                "is a value, or a handle where it has no other type. The object of a",
                "method is a handle, which the constructor gives. A struct of options",
                "may be NULL, as may be its members: the defaults of Python hold then.",
                *self._docs(self._module.docs),
            ]
        )
        yield from (f"#ifndef {guard}", f"#define {guard}", "")
        yield from ("#include <stdlib.h>", "#include <string.h>", "")
        yield from ("#include <pybridge.h>", "", *_SHARED.split("\n"))
        for function in functions_of(self._module):
            yield from self._function(function)
        for constant in self._constants():
            yield from self._constant(constant)
        yield from self._aliases()
        yield from ("", f"#endif /* {guard} */")

    def _docs(self, docs: str) -> list[str]:
        lines = comment_lines(docs, self._options)
        return ["", *lines] if lines else []

    def _constants(self) -> Iterator[Constant]:
        yield from self._module.constants
        for one in self._module.classes:
            yield from one.constants

    def _name(self, path: str) -> str:
        return self._names.take(f"{self._begin}_{path.replace('.', '_')}")

    def _constant(self, constant: Constant) -> Iterator[str]:
        name = self._name(constant.path)
        owner, _, attribute = constant.path.rpartition(".")
        yield ""
        yield from _comment([f"{self._module.name}.{constant.path}, {constant.type}"])
        yield f"static inline PYB_CHECK pyb_status {name}("
        yield "    const pyb_session *session, pyb_value *result, pyb_error *error) {"
        yield f"  return pyb_stub_get(session, {_string(self._path(owner))},"
        yield f"                      {_string(attribute)}, result, error);"
        yield "}"

    def _path(self, path: str) -> str:
        return expression(self._module.name, path)

    def _aliases(self) -> Iterator[str]:
        functions = {one.path: one for one in functions_of(self._module)}
        for alias, path in self._module.aliases:
            if path in functions:
                yield from self._call(functions[path], alias, [])

    def _function(self, function: Function) -> Iterator[str]:
        yield from self._call(function, function.path, self._docs(function.docs))

    def _call(self, function: Function, path: str, docs: list[str]) -> Iterator[str]:
        name = self._name(path)
        yield ""
        yield from _comment([call_text(self._module.name, function), *docs])
        if function.kind == "property":
            yield f"static inline PYB_CHECK pyb_status {name}("
            yield "    const pyb_session *session, pyb_handle self, pyb_value *result,"
            yield "    pyb_error *error) {"
            yield f"  return pyb_handle_get(session, self, {_string(function.name)},"
            yield "                        PYB_AS_FITS, result, error);"
            yield "}"
            return
        yield from _Call(function, name).lines(
            function.name if function.kind == "method" else self._path(path)
        )


class _Call:
    """The C function for one call."""

    def __init__(self, function: Function, name: str) -> None:
        self._name = name
        self._made = function.kind == "constructor"
        self._method = function.kind == "method"
        parameters = function.parameters
        if parameters is None:  # any number, and any names
            self._named: list[Parameter] = []
            self._more = self._extra = True
        else:
            self._named = [p for p in parameters if not p.kind.startswith("var_")]
            self._more = any(p.kind == "var_positional" for p in parameters)
            self._extra = any(p.kind == "var_keyword" for p in parameters)
        names = Names([*_RESERVED.split(), *(["args"] if self._more else [])])
        self._members = {p.name: names.take(_identifier(p.name)) for p in self._named}
        self._optional = [p for p in self._named if not p.required]

    def lines(self, callable_: str) -> Iterator[str]:
        """Yield the struct of options, if there is one, and the function."""
        yield from self._struct()
        yield f"static inline PYB_CHECK pyb_status {self._name}("
        line = "   "
        for part in (*self._prototype(), ""):
            if part and len(line) + len(part) < 86:
                line += f" {part},"
            else:
                yield line if part else f"{line[:-1]}) {{"
                line = f"    {part},"
        yield "  const pyb_stub_argument arguments[] = {"
        for one in self._named:
            yield f"      {{{self._passed_as(one)}, {self._value(one)}}},"
        yield "      {NULL, NULL}};"
        args = "args, n_args" if self._more else "NULL, 0"
        extra = "NULL, NULL, 0"
        if self._extra:
            parts = ("extra_names", "NULL"), ("extra_values", "NULL"), ("n_extra", "0")
            extra = ", ".join(
                f"options == NULL ? {none} : options->{part}" for part, none in parts
            )
        yield f"  const pyb_stub_rest rest = {{{args}, {extra}}};"
        yield f"  return pyb_stub_call(session, {_string(callable_)},"
        yield (
            f"                       {'self' if self._method else '0'}, arguments, "
            f"{len(self._named)}, rest,"
        )
        where = "self, NULL" if self._made else "NULL, result"
        yield f"                       {where}, error);"
        yield "}"

    def _struct(self) -> Iterator[str]:
        if not self._optional and not self._extra:
            return
        yield f"typedef struct {self._name}_options {{"
        for one in self._optional:
            yield f"  const pyb_value *{self._members[one.name]};"
        if self._extra:
            yield "  const char *const *extra_names; /* more keyword arguments */"
            yield "  const pyb_value *extra_values;"
            yield "  size_t n_extra;"
        yield f"}} {self._name}_options;"

    def _prototype(self) -> Iterator[str]:
        yield "const pyb_session *session"
        if self._method:
            yield "pyb_handle self"
        for one in self._named:
            if one.required:
                yield f"pyb_value {self._members[one.name]}"
        if self._more:
            yield from ("const pyb_value *args", "size_t n_args")
        if self._optional or self._extra:
            yield f"const {self._name}_options *options"
        yield "pyb_handle *self" if self._made else "pyb_value *result"
        yield "pyb_error *error"

    def _passed_as(self, one: Parameter) -> str:
        by_position = one.kind == "positional_only" or (
            one.kind == "positional_or_keyword" and (one.required or self._more)
        )
        return "NULL" if by_position else _string(one.name)

    def _value(self, one: Parameter) -> str:
        member = self._members[one.name]
        if one.required:
            return f"&{member}"
        return f"options == NULL ? NULL : options->{member}"


def _identifier(name: str) -> str:
    """Return a name that C and its library leave to programs."""
    return f"x{name}" if re.match(r"_[A-Z_]", name) else name
