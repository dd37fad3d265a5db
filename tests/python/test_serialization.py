"""Named forms of a value."""

# ruff: noqa: PYI024, SLOT000, SLOT001, PLW0108, RUF043 - classes as users write them

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import json
import math
import pickle
import sys
import types
import uuid
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybridge.errors import BadArgument, TooLarge, Unsupported
from pybridge.serialization import SERIALIZATIONS, dumps, loads
from tests.values import SCALARS

if TYPE_CHECKING:
    from tests.values import Scalar

EVERY = pytest.mark.parametrize("scalar", SCALARS, ids=str)


class Colour(enum.Enum):
    RED = "r"


class Word(str, enum.Enum):  # noqa: UP042  (the old way is what is tested)
    A = "a"


class Level(enum.IntEnum):
    HIGH = 3


class Text(str):
    def __str__(self) -> str:
        return "other"


class Number(int):
    def __repr__(self) -> str:
        return "other"


class Real(float):
    def __repr__(self) -> str:
        return "other"


@dataclasses.dataclass
class Point:
    x: int
    inner: object = None


class Row(tuple[Any, ...]):
    """A tuple of one's own."""


Named = collections.namedtuple("Named", "a b")


class WithJson:
    def __json__(self) -> object:
        return {"j": {1, 2}}


class ForJson(dict[str, int]):
    def for_json(self) -> object:
        return ["for_json"]


class ToJsonText:
    def to_json(self) -> str:
        return '{"t": [1]}'


class ToJsonValue:
    def to_json(self) -> object:
        return {"v": Decimal(1)}


class OwnMapping(collections.UserDict[str, int]):
    pass


class OwnList(collections.UserList[int]):
    pass


@EVERY
def test_scalars_have_their_forms(scalar: Scalar) -> None:
    """str, repr and JSON of each are those of the table."""
    assert scalar.text == dumps(scalar.python, "str")
    assert repr(scalar.python) == dumps(scalar.python, "repr")
    assert scalar.json == dumps(scalar.python, "json")


@EVERY
@pytest.mark.parametrize("name", ["pickle", "pickle:0", "pickle:2", "pickle:5", "dill"])
def test_scalars_come_back_from_bytes(scalar: Scalar, name: str) -> None:
    """Pickle and dill are bytes, and exact."""
    data = dumps(scalar.python, name)

    assert isinstance(data, bytes)
    assert repr(scalar.python) == repr(loads(data, name))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**64, "18446744073709551616"),
        (-(2**200), str(-(2**200))),
        (math.nan, "null"),
        ([1.5, math.inf, -math.inf, None], "[1.5,null,null,null]"),
        ({"a": math.nan}, '{"a":null}'),
        ((1, "a", None, True), '[1,"a",null,true]'),
        (Named(1, 2), "[1,2]"),
        (Row([1]), "[1]"),
        ({3, 1, 2}, "[1,2,3]"),
        (frozenset("ba"), '["a","b"]'),
        ({"a", 2, 1}, '[1,2,"a"]'),
        (range(3), "[0,1,2]"),
        ({}.keys(), "[]"),
        ({"k": 1}.keys(), '["k"]'),
        ({"k": 1}.items(), '[["k",1]]'),
        (collections.deque([1]), "[1]"),
        (collections.OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        (OwnMapping(a=1), '{"a":1}'),
        (OwnList([1, 2]), "[1,2]"),
        (types.SimpleNamespace(a=1), '{"a":1}'),
        (dt.timedelta(days=1, microseconds=500_000), "86400.5"),
        (dt.datetime(2024, 1, 1, tzinfo=dt.UTC), '"2024-01-01T00:00:00+00:00"'),
        (Decimal("1.50"), '"1.50"'),
        (Decimal("NaN"), "null"),
        (Decimal("Infinity"), "null"),
        (Fraction(1, 3), '"1/3"'),
        (1 + 2j, '{"real":1.0,"imag":2.0}'),
        (bytearray(b"ab"), '"YWI="'),
        (memoryview(b"ab"), '"YWI="'),
        (memoryview(b"a.b.")[::2], '"YWI="'),
        (np.longdouble(0.5), "0.5"),
        (np.array([0.5, np.nan], np.longdouble), "[0.5,null]"),
        (np.clongdouble(1), '{"real":1.0,"imag":0.0}'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (PurePosixPath("/a/b"), '"/a/b"'),
        (Colour.RED, '"r"'),
        (Word.A, '"a"'),
        (Level.HIGH, "3"),
        (Text("x"), '"x"'),
        (Number(3), "3"),
        (Real(1.5), "1.5"),
        (Point(1, Point(2)), '{"x":1,"inner":{"x":2,"inner":null}}'),
        (ValueError("x", 1), '{"error":"ValueError","args":["x",1]}'),
        (KeyboardInterrupt(), '{"error":"KeyboardInterrupt","args":[]}'),
        (WithJson(), '{"j":[1,2]}'),
        (ForJson(a=1), '["for_json"]'),
        (ToJsonText(), '{"t":[1]}'),
        (ToJsonValue(), '{"v":"1"}'),
        ("é\u2028</script>", '"é\u2028</script>"'),
        ("\ud800", '"\\ud800"'),
        (np.float64(1.5), "1.5"),
        (np.float32("nan"), "null"),
        (np.int8(-3), "-3"),
        (np.uint64(2**64 - 1), "18446744073709551615"),
        (np.bool_(True), "true"),
        (np.str_("a"), '"a"'),
        (np.bytes_(b"a"), '"YQ=="'),
        (np.datetime64("2024-01-01T00:00"), '"2024-01-01T00:00"'),
        (np.datetime64("NaT"), "null"),
        (np.timedelta64(1500, "ms"), "1.5"),
        (np.array([[1, 2], [3, 4]]), "[[1,2],[3,4]]"),
        (np.array(5), "5"),
        (np.array([1.0, np.nan]), "[1.0,null]"),
        (np.array([[np.nan]]), "[[null]]"),
        (np.array([]), "[]"),
        (np.array(["2024-01-01"], "M8[D]"), '["2024-01-01"]'),
        (np.array([1, "a", None], object), '[1,"a",null]'),
        (np.array([(1, "a")], [("x", "i4"), ("y", "U1")]), '[[1,"a"]]'),
        (np.ma.masked_array([1, 2], [False, True]), "[1,null]"),
        (np.ma.masked, "null"),
        (pd.NA, "null"),
        (pd.NaT, "null"),
        (pd.Timestamp("2024-01-01 12:00"), '"2024-01-01T12:00:00"'),
        (pd.Timedelta("1s"), "1.0"),
        (pd.Period("2024-01", "M"), '"2024-01"'),
        (pd.Series([1, None], dtype="Int64"), "[1,null]"),
        (pd.Series(["a", None]), '["a",null]'),
        (pd.Series([1.5, None]), "[1.5,null]"),
        (pd.Categorical(["a", None]), '["a",null]'),
        (pd.Index(["a"]), '["a"]'),
        (
            pd.DataFrame({"a": [1, None], "b": ["x", None]}),
            '[{"a":1.0,"b":"x"},{"a":null,"b":null}]',
        ),
        (
            pd.DataFrame({"a": [1]}, index=pd.Index(["i"], name="k")),
            '[{"k":"i","a":1}]',
        ),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), '[{"x":1,"x_1":2}]'),
        (pd.DataFrame({("a", "b"): [1]}), '[{"a_b":1}]'),
        (pd.DataFrame({"a": []}), "[]"),
        (pl.DataFrame({"a": [1, None]}), '[{"a":1},{"a":null}]'),
        (pl.Series([1.5, None]), "[1.5,null]"),
        (pa.table({"a": [b"x"]}), '[{"a":"eA=="}]'),
        (pa.array([1, None]), "[1,null]"),
        (pa.scalar(1), "1"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_json_has_a_stated_form(value: object, text: str) -> None:
    """Each type's form, and the text is JSON as other programs read it."""
    made = dumps(value, "json")

    assert text == made
    json.loads(made, parse_constant=lambda word: pytest.fail(word))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (1, "1"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "null"),
        (math.nan, "null"),
        (dt.date(2024, 1, 1), "2024-01-01"),
        (Decimal("1.0"), "1.0"),
        (Colour.RED, "r"),
        (b"a", "YQ=="),
        ((1, "a"), '[1,"a"]'),
        (frozenset([1]), "[1]"),
    ],
)
def test_json_keys_become_text(key: object, text: str) -> None:
    """A key that is no text becomes that of its own JSON form."""
    assert {text: 0} == json.loads(dumps({key: 0}, "json"))


def test_json_keys_that_collide_are_refused() -> None:
    """No entry is lost silently."""
    with pytest.raises(Unsupported, match=r"\$.a has two keys that become '1'"):
        dumps({"a": {1: 1, "1": 2}}, "json")


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (object(), r"\$ is of type object"),
        ({"a": [1, {"b c": object()}]}, r"\$.a\[1\]\['b c'\] is of type object"),
        ([int], r"\$\[0\] is of type type"),
        ({"f": len}, r"\$.f is of type builtin_function_or_method"),
        (Point(1, object()), r"\$.inner is of type object"),
        (pd.DataFrame({"a": [object()]}), r"\$\[\*\].a\[0\] is of type object"),
        ({object(): 1}, r"\$\[object\] is of type object"),
        (sys, r"\$ is of type module"),
        (iter([1]), r"\$ is of type list_iterator"),
    ],
)
def test_json_names_the_path_to_what_has_no_form(value: object, path: str) -> None:
    """The error leads to the culprit, with what to do."""
    with pytest.raises(Unsupported, match=path + ".*use repr, pickle or dill"):
        dumps(value, "json")


def test_exception_keeps_arguments_without_a_form() -> None:
    """An argument without a form becomes its repr: an error must be told."""
    text = dumps(ValueError(len, [1, len]), "json")

    assert '["<built-in function len>","[1, <built-in function len>]"]' in str(text)


def test_json_cycles_are_refused() -> None:
    """The error names where the circle closes; a value twice is no circle."""
    inner: list[object] = [1]
    cycle: dict[str, object] = {"a": inner}
    inner.append(cycle)
    shared = [1]

    with pytest.raises(Unsupported, match=r"\$.a\[1\] holds itself"):
        dumps(cycle, "json")
    assert "[[1],[1]]" == dumps([shared, shared], "json")


def test_json_of_deep_nesting_is_refused() -> None:
    """A thousand levels are an error, not the end of the process."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(Unsupported, match="nested too deeply"):
        dumps(deep, "json")


@pytest.mark.parametrize(
    "value",
    [math.nan, [math.inf], {"a": [1.0, math.nan]}, np.float32("nan"), Decimal("nan")],
)
def test_strict_json_refuses_what_json_has_not(value: object) -> None:
    """By option NaN and the infinities are errors instead of null."""
    with pytest.raises(Unsupported, match="json:strict"):
        dumps(value, "json:strict")
    assert "[1.5]" == dumps([1.5], "json:strict")


def test_json_list_is_not_changed() -> None:
    """Writing leaves the value as it is."""
    value = {"a": [1.0, math.nan, {2, 1}]}

    dumps(value, "json")

    assert repr({"a": [1.0, math.nan, {1, 2}]}) == repr(value)


@pytest.mark.parametrize("name", ["str", "repr", "json"])
def test_integers_of_too_many_digits_are_told(name: str) -> None:
    """Python's own limit comes out as a clear error."""
    with pytest.raises(TooLarge, match="more than 4300 digits; use pickle"):
        dumps([10**5000], name)


@pytest.mark.parametrize("name", ["str", "repr"])
def test_lone_surrogates_are_told(name: str) -> None:
    """Text that UTF-8 has not cannot cross; repr of a str escapes it."""

    class Odd:
        def __repr__(self) -> str:
            return "x\ud800"

    with pytest.raises(Unsupported, match=f"{name}: .* lone surrogate .* position 1"):
        dumps(Odd(), name)
    assert "'\\ud800'" == dumps("\ud800", "repr")


@pytest.mark.parametrize(
    "name", ["yaml", "", "JSON", "json:x", "str:1", "repr:", "dill:2", "arrow:x", ":"]
)
def test_unknown_serializations_are_refused(name: str) -> None:
    """The error lists the known ones."""
    if name == "repr:":
        assert "1" == dumps(1, name)
        return
    with pytest.raises(BadArgument) as caught:
        dumps(1, name)

    assert all(known in str(caught.value) for known in SERIALIZATIONS)


@pytest.mark.parametrize("name", ["pickle:6", "pickle:-1", "pickle:x", "pickle:99"])
def test_unknown_pickle_protocols_are_refused(name: str) -> None:
    """The error lists the known ones."""
    with pytest.raises(BadArgument, match="known are 0 to 5"):
        dumps(1, name)


def test_pickle_protocol_is_the_one_named() -> None:
    """`pickle:2` is protocol 2."""
    assert pickle.dumps([1], 2) == dumps([1], "pickle:2")
    assert pickle.dumps([1]) == dumps([1], "pickle")


def test_what_cannot_be_pickled_is_told() -> None:
    """The error names the type, and dill, which takes more."""
    with pytest.raises(Unsupported, match="pickle: .*dill takes more"):
        dumps(lambda: 1, "pickle")

    assert 3 == loads(dumps(lambda: 3, "dill"), "dill")()


def test_frames_are_arrow_streams() -> None:
    """A frame comes back as a table with the same rows."""
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})

    data = dumps(frame, "arrow")
    table = loads(data, "arrow")

    assert isinstance(data, bytes)
    assert {"a": [1, 2], "b": ["x", None]} == table.to_pydict()


def test_arrow_is_for_frames() -> None:
    """A number is no frame."""
    with pytest.raises(BadArgument, match="a frame is wanted"):
        dumps(3, "arrow")


@pytest.mark.parametrize(
    ("data", "name", "value"),
    [
        ("x", "str", "x"),
        (b"\xc3\xa9", "str", "é"),
        ("[1, {'a': None}]", "repr", [1, {"a": None}]),
        ('[1, {"a": null}]', "json", [1, {"a": None}]),
        (b'"\xc3\xa9"', "json", "é"),
        (str(2**70), "json", 2**70),
    ],
)
def test_loads_reads_what_dumps_writes(data: Any, name: str, value: object) -> None:
    """Text and JSON may be bytes of UTF-8."""
    assert value == loads(data, name)


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        ("{", "json", "the data is not json"),
        ("[NaN]", "json", "NaN is not JSON"),
        ("open('x')", "repr", "the data is not repr"),
        ("x", "pickle", "pickle is bytes, this is text"),
        (b"x", "pickle", "the data is not pickle"),
        (b"x", "dill", "the data is not dill"),
        (b"x", "arrow", "the data is not arrow"),
        (b"\xff", "str", "the data is not str"),
        ("x", "yaml", "the serialization 'yaml' is unknown"),
    ],
)
def test_loads_refuses_other_data(data: Any, name: str, message: str) -> None:
    """The error names the form that was wanted."""
    with pytest.raises(BadArgument, match=message):
        loads(data, name)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_json_values_come_back(value: object) -> None:
    """What JSON has comes back as it was."""
    assert value == loads(dumps(value, "json"), "json")


@given(st.lists(st.floats() | st.integers() | st.none()))
def test_json_is_always_json(values: list[Any]) -> None:
    """No list of numbers gives what a strict reader refuses."""
    text = dumps(values, "json")

    json.loads(text, parse_constant=lambda word: pytest.fail(word))


def test_json_refuses_to_round_a_long_double() -> None:
    """It has more digits than a float, and JSON's readers make floats."""
    with pytest.raises(Unsupported, match=r"\$\.a is 0\.333.*more digits than a float"):
        dumps({"a": np.longdouble(1) / 3}, "json")
