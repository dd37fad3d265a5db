"""What a host does with objects: the verbs that take the object itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pybridge import proxy
from pybridge.errors import BadArgument


class Hostile:
    """All that is asked of it raises."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Raise."""
        raise ZeroDivisionError

    def __len__(self) -> int:
        """Raise."""
        raise ZeroDivisionError

    def __getattr__(self, name: str) -> Any:
        """Raise."""
        raise ZeroDivisionError(name)


@pytest.mark.parametrize(
    "value",
    [Hostile(), Hostile, json, print, 5, None, [1], "x"],
    ids=["hostile", "class", "module", "function", "int", "None", "list", "str"],
)
def test_info_raises_nothing(value: object) -> None:
    """Whatever it is asked of, it is JSON."""
    info = json.loads(proxy.info_json(value))

    assert {"type", "class", "callable", "iterable", "length", "repr"} <= set(info)
    assert isinstance(info["type"], str)


def test_names_are_those_of_dir() -> None:
    """Also as JSON."""
    assert dir([]) == json.loads(proxy.names_json([]))


def test_module_is_the_inner_one() -> None:
    """Of a dotted name; what is no name is refused."""
    import os.path

    assert os.path is proxy.module("os.path")
    with pytest.raises(BadArgument):
        proxy.module("os path")


def test_rows_have_json_behind_them() -> None:
    """One column more than asked for holds each row as JSON text."""
    table = proxy.rows([{"a": 1, "b": "x"}, {"a": 2, "b": None}], "b")

    assert ["b", "row"] == table.column_names
    assert ['{"b":"x"}', '{"b":null}'] == table["row"].to_pylist()


def test_loads_wants_text_or_bytes() -> None:
    """Anything else is named."""
    with pytest.raises(BadArgument, match="json is read from text or bytes, not int"):
        proxy.loads(5, "json")
