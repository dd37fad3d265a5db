"""Bytes from outside: an answer or an error, and the next call works.

Run in this process; under `make asan` with a library whose every access is looked at.
"""

from __future__ import annotations

import ctypes
import json
import os
from ctypes import POINTER, byref, c_char_p, c_int, c_int64, c_size_t, c_void_p
from typing import Any

import apsw
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybridge import context
from tests.sqlite.hosts import TESTED, load

LIBRARY = ctypes.CDLL(str(TESTED))
FEW = settings(
    max_examples=int(os.environ.get("PYB_EXAMPLES", "200")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
OPEN: list[apsw.Connection] = []


def connection() -> apsw.Connection:
    """Return the one connection of these tests."""
    if not OPEN:
        OPEN.append(apsw.Connection(":memory:"))
        load(OPEN[0])
        OPEN[0].execute("create table t(n integer, s text)")
        OPEN[0].execute("insert into t values (1, 'a'), (2, null)")
    return OPEN[0]


def rows(sql: str, *values: object) -> list[Any] | str:
    """Return what a statement gives, or its error."""
    try:
        return connection().execute(sql, values).fetchall()
    except apsw.Error as error:
        return str(error)


def works() -> bool:
    """Do both planes still answer?"""
    return [(2, 3)] == rows("select py_eval('1 + 1'), py_get('1 + 2')")


# ---- Text ---------------------------------------------------------------------------

NAMES = st.one_of(st.text(max_size=30), st.binary(max_size=30))


@FEW
@given(st.binary(max_size=300))
def test_fuzz_code_is_any_bytes(code: bytes) -> None:
    """Code that is no code, no UTF-8, or has NULs in it, is an error."""
    status = LIBRARY.pyb_execute_code(None, code, c_size_t(len(code)), None, None)

    assert status in {0, 5, 6, 7, 9}
    assert works()


@FEW
@given(st.text(max_size=100))
def test_fuzz_expressions_are_any_text(text: str) -> None:
    """The same, through every function that takes code or a path."""
    for call in (
        "py_eval(?1)",
        "py_run(?1, 'x', 'repr')",
        "py_get(?1)",
        "py_info(?1)",
        "py_function_info(?1)",
        "py_module_info(?1)",
        "py_call(?1, 1)",
    ):
        rows(f"select {call}", text)

    assert works()


@FEW
@given(NAMES, NAMES)
def test_fuzz_names_are_any_text(one: str | bytes, other: str | bytes) -> None:
    """Names, serializations and kinds that are none are errors."""
    for call in (
        "py_set(?1, 1)",
        "py_run('1', ?1, ?2)",
        "py_eval('1', ?1)",
        "py_apply('len', '[[]]', null, ?1, ?2)",
        "py_query('select * from t', ?1, ?2)",
        "py_table(?1, 'x', ?2)",
        "py_table('t', 'x', 'list', ?1, ?2)",
        "py_write(?1, ?2)",
        "py_define(?1, ?2, 'len')",
        "py_option(?1, ?2)",
    ):
        rows(f"select {call}", one, other)
    rows("select py_context('main')")
    for name in ("timeout_ms", "dtype_backend", "parse", "capture"):
        rows("select py_option(?1, null)", name)

    assert works()


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=10),
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=15,
)


@FEW
@given(st.lists(JSON, max_size=5), st.dictionaries(st.text(max_size=5), JSON))
def test_fuzz_json_arguments_arrive(args: list[Any], kwargs: dict[str, Any]) -> None:
    """What is JSON comes into the function as it is, and back."""
    rows("select py_exec('def echo(*a, **k): return [list(a), k]')")

    ((given_back,),) = connection().execute(
        "select py_apply('echo', ?1, ?2, null, 'json')",
        (json.dumps(args), json.dumps(kwargs)),
    )

    assert [args, kwargs] == json.loads(given_back)


@FEW
@given(NAMES, NAMES)
def test_fuzz_json_is_any_text(args: str | bytes, kwargs: str | bytes) -> None:
    """What is no JSON is an error, as arguments and as options."""
    rows("select py_apply('print', ?1, ?2)", args, kwargs)
    rows("select py_query('select * from t', 'x', 'list', ?1)", args)
    rows("select py_define('f', 'scalar', 'len', ?1)", kwargs)

    assert works()


@FEW
@given(st.text(max_size=60))
def test_fuzz_sql_is_any_text(sql: str) -> None:
    """SQL that is none is an error of py_query, and no variable is made."""
    assert not isinstance(rows("select py_query(?1, 'never', 'list')", sql), list) or (
        isinstance(rows("select py_get('never', 'repr')"), list)
    )
    rows("select py_exec('globals().pop(\"never\", None)')")
    assert works()


# ---- Arrow streams ------------------------------------------------------------------


class Schema(ctypes.Structure):
    pass


class Array(ctypes.Structure):
    pass


class Stream(ctypes.Structure):
    pass


RELEASE_SCHEMA = ctypes.CFUNCTYPE(None, POINTER(Schema))
RELEASE_ARRAY = ctypes.CFUNCTYPE(None, POINTER(Array))
RELEASE_STREAM = ctypes.CFUNCTYPE(None, POINTER(Stream))
GET_SCHEMA = ctypes.CFUNCTYPE(c_int, POINTER(Stream), POINTER(Schema))
GET_NEXT = ctypes.CFUNCTYPE(c_int, POINTER(Stream), POINTER(Array))
GET_ERROR = ctypes.CFUNCTYPE(c_void_p, POINTER(Stream))

Schema._fields_ = [
    ("format", c_char_p),
    ("name", c_char_p),
    ("metadata", c_char_p),
    ("flags", c_int64),
    ("n_children", c_int64),
    ("children", POINTER(POINTER(Schema))),
    ("dictionary", POINTER(Schema)),
    ("release", RELEASE_SCHEMA),
    ("private_data", c_void_p),
]
Array._fields_ = [
    ("length", c_int64),
    ("null_count", c_int64),
    ("offset", c_int64),
    ("n_buffers", c_int64),
    ("n_children", c_int64),
    ("buffers", POINTER(c_void_p)),
    ("children", POINTER(POINTER(Array))),
    ("dictionary", POINTER(Array)),
    ("release", RELEASE_ARRAY),
    ("private_data", c_void_p),
]
Stream._fields_ = [
    ("get_schema", GET_SCHEMA),
    ("get_next", GET_NEXT),
    ("get_last_error", GET_ERROR),
    ("release", RELEASE_STREAM),
    ("private_data", c_void_p),
]


@RELEASE_SCHEMA
def _release_schema(schema: Any) -> None:
    schema.contents.release = RELEASE_SCHEMA()


@RELEASE_ARRAY
def _release_array(array: Any) -> None:
    array.contents.release = RELEASE_ARRAY()


@RELEASE_STREAM
def _release_stream(stream: Any) -> None:
    stream.contents.release = RELEASE_STREAM()


NEW_CAPSULE = ctypes.pythonapi.PyCapsule_New
NEW_CAPSULE.restype = ctypes.py_object
NEW_CAPSULE.argtypes = [c_void_p, c_char_p, c_void_p]

CELLS = 4  # of each column; a buffer has room for them and for an offset
FORMATS = [
    *("n", "b", "c", "C", "s", "S", "i", "I", "l", "L", "e", "f", "g"),
    *("u", "U", "z", "Z", "vu", "vz", "w:0", "w:3", "d:5,2", "d:38,-3", "d:9,9,256"),
    *("tdD", "tdm", "tts", "ttm", "ttu", "ttn", "tss:", "tsm:UTC", "tsu:", "tsn:"),
    *("tDs", "tiM", "+s", "+l", "+L", "+w:2", "+m", "+us:0", "+r"),
    *("w:-1", "w:99999999999", "d:", "d:1", "d:0,0", "ts", "tsx", "x", ""),
]
WRONG = [0, 0, 0, 0, 1, 1, 2, 3, -1, 5, 2**31, 2**62, 2**63 - 1, -(2**63)]


class Frame:
    """An object that hands out one Arrow stream, sound or not."""

    def __init__(self, draw: Any) -> None:
        self.kept: list[Any] = []
        self.draw = draw
        self.columns = draw(st.integers(0, 3))
        self.formats = [draw(st.sampled_from(FORMATS)) for _ in range(self.columns)]
        self.indexed = [draw(st.sampled_from([0, 0, 0, 1, 2])) for _ in self.formats]
        self.schema = self._struct_schema()
        self.batches = [self._batch() for _ in range(draw(st.integers(0, 2)))]
        self.codes = draw(st.sampled_from([(0, 0), (0, 0), (0, 0), (5, 0), (0, 12)]))

    def __arrow_c_stream__(self, _: object = None) -> object:
        """Return the capsule."""
        left = list(self.batches)

        @GET_SCHEMA
        def get_schema(_: Any, out: Any) -> int:
            if self.codes[0] == 0:
                ctypes.memmove(out, byref(self.schema), ctypes.sizeof(Schema))
            return int(self.codes[0])

        @GET_NEXT
        def get_next(_: Any, out: Any) -> int:
            ctypes.memset(out, 0, ctypes.sizeof(Array))
            if left:
                ctypes.memmove(out, byref(left.pop(0)), ctypes.sizeof(Array))
            return int(self.codes[1])

        @GET_ERROR
        def get_last_error(_: Any) -> None:
            return None

        stream = Stream(get_schema, get_next, get_last_error, _release_stream, None)
        self.kept += [get_schema, get_next, get_last_error, stream]
        return NEW_CAPSULE(ctypes.addressof(stream), b"arrow_array_stream", None)

    def _wrong(self, sound: int) -> int:
        """Return the sound number, or now and then another."""
        off: int = self.draw(st.sampled_from(WRONG))
        return sound if self.draw(st.integers(0, 20)) else off

    def _pointers(self, kind: Any, items: list[Any]) -> Any:
        """Return an array of pointers; now and then NULL, or with a NULL in it."""
        array = (POINTER(kind) * (len(items) + 1))()
        for i, item in enumerate(items):
            if self.draw(st.integers(0, 30)):
                array[i] = ctypes.pointer(item)
        self.kept += [array, items]
        if not self.draw(st.integers(0, 30)):
            return POINTER(POINTER(kind))()
        return ctypes.cast(array, POINTER(POINTER(kind)))

    def _schema(self, form: str | None, name: str = "c") -> Schema:
        schema = Schema(
            format=None if form is None else form.encode(),
            name=name.encode(),
            release=_release_schema,
        )
        self.kept.append(schema)
        return schema

    def _struct_schema(self) -> Schema:
        children = []
        for i, (form, index) in enumerate(zip(self.formats, self.indexed, strict=True)):
            child = self._schema("i" if index else form, f"c{i}")
            if index:
                child.dictionary = ctypes.pointer(self._schema(form))
            if index == 2:
                child.dictionary.contents.dictionary = ctypes.pointer(self._schema("u"))
            children.append(child)
        schema = self._schema("+s" if self.draw(st.integers(0, 20)) else None)
        # Fewer children may be said than there are, never more: nobody could know.
        schema.n_children = min(self._wrong(self.columns), self.columns)
        schema.children = self._pointers(Schema, children)
        return schema

    def _buffers(self, form: str) -> tuple[Any, int]:
        """Return buffers whose sizes fit what they say, with anything inside."""
        wide = 64 * (CELLS + 2)
        first = self.draw(st.binary(min_size=8, max_size=8))
        data = self.draw(st.binary(min_size=wide, max_size=wide))
        if form in ("u", "z", "U", "Z"):
            # The end is what a reader has to believe; all others may be wrong.
            size = 4 if form in ("u", "z") else 8
            ends = [self._wrong(i) % 2 ** (8 * size - 1) for i in range(CELLS)] + [
                CELLS
            ]
            data = b"".join(end.to_bytes(size, "little") for end in ends).ljust(wide)
            data = data[: size * (CELLS + 1)] + bytes(wide)
        count = 3 if form in ("u", "z", "U", "Z", "vu", "vz") else 2
        buffers = (c_void_p * 4)()
        for i, content in enumerate((first, data, bytes(wide))):
            block = ctypes.create_string_buffer(content, len(content))
            self.kept.append(block)
            if self.draw(st.integers(0, 15)):
                buffers[i] = ctypes.addressof(block)
        self.kept.append(buffers)
        given = min(self._wrong(0 if form == "n" else count), count)
        if not self.draw(st.integers(0, 30)):
            return POINTER(c_void_p)(), given
        return ctypes.cast(buffers, POINTER(c_void_p)), given

    def _array(self, form: str) -> Array:
        buffers, n = self._buffers(form)
        array = Array(
            length=min(self._wrong(CELLS), CELLS),
            null_count=self._wrong(0),
            offset=min(self._wrong(0), 0),
            n_buffers=n,
            buffers=buffers,
            release=_release_array,
        )
        self.kept.append(array)
        return array

    def _batch(self) -> Array:
        children = []
        for form, index in zip(self.formats, self.indexed, strict=True):
            child = self._array("i" if index else form)
            if index and self.draw(st.integers(0, 10)):
                child.dictionary = ctypes.pointer(self._array(form))
            children.append(child)
        batch = self._array("n")
        batch.n_buffers = 1
        batch.n_children = self._wrong(self.columns)
        batch.children = self._pointers(Array, children)
        batch.null_count = self._wrong(0)
        return batch


@FEW
@given(st.data())
def test_fuzz_arrow_streams_are_sound_or_errors(data: Any) -> None:
    """A stream whose structs lie is an error, or is read as what it says; no crash.

    It goes to the writer as it is: in front of the other ways stands pyarrow, which
    believes what a stream says.
    """
    rows("select py_exec('from pybridge import _plane')")
    context.get("main").namespace["frame"] = Frame(data.draw)
    live = LIBRARY.pyb_live()

    rows('select py_exec(\'_plane.host_write(frame, "written", "replace")\')')

    assert works()
    assert live == LIBRARY.pyb_live()


def test_arrow_batch_without_its_buffers_is_an_error() -> None:
    """A batch that says it has buffers, and has none, is not followed there."""
    column = Schema(format=b"n", name=b"c", release=_release_schema)
    cells = Array(length=1, null_count=1, release=_release_array)
    frame = object.__new__(Frame)
    frame.kept, frame.codes = [column, cells], (0, 0)
    frame.schema = Schema(
        format=b"+s",
        n_children=1,
        children=ctypes.pointer(ctypes.pointer(column)),
        release=_release_schema,
    )
    frame.batches = [
        Array(
            length=1,
            null_count=1,
            n_buffers=1,
            n_children=1,
            children=ctypes.pointer(ctypes.pointer(cells)),
            release=_release_array,
        )
    ]
    rows("select py_exec('from pybridge import _plane')")
    context.get("main").namespace["frame"] = frame

    said = rows('select py_exec(\'_plane.host_write(frame, "never", "fail")\')')

    assert "malformed batch" in said
    assert works()
