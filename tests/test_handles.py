"""Handles in Python: objects by number, over the library's own table.

The library is loaded into this process, so these tests are not among those of the
package alone.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import pytest

from pybridge import context as contexts
from pybridge.errors import BadArgument, Undefined, Unsupported
from pybridge.location import LIBRARY
from pybridge.proxy import Handle, Handles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybridge.context import Context

SEED = """
class Person:
    def __init__(self, name, age=0):
        self.name, self.age = name, age
    def getAgePlus(self, n):
        return self.age + n
    def older(self, n):
        return Person(self.name, self.age + n)

def count():
    try:
        yield from range(10)
    finally:
        ended.append(1)

ended = []
ada = Person("Ada", 36)
"""


@pytest.fixture(scope="module")
def _library() -> None:
    """Load the library into this process, whose Python it finds running."""
    assert 0 == ctypes.PyDLL(str(LIBRARY)).pyb_setup(None, None)


@pytest.fixture
def context(_library: None) -> Iterator[Context]:
    """Give a context of its own; all are dropped afterwards."""
    contexts.reset()
    yield contexts.get("test")
    contexts.reset()


@pytest.fixture
def handles(context: Context) -> Iterator[Handles]:
    """Handles over a context with people; all are released in the end."""
    exec(SEED, context.namespace)
    before = held()
    with Handles("test") as group:
        yield group
    assert before == held()


def held() -> int:
    """Return how many handles there are in the process."""
    from pybridge import _plane

    return int(_plane.handle_count())


# ---- Handles ------------------------------------------------------------------------


def test_objects_come_from_everywhere(handles: Handles) -> None:
    """A class, JSON arguments, an expression, a module and JSON text make objects."""
    made = [
        handles.new("Person", ["Ada", 36]),
        handles.new("Person", '["Ada"]', '{"age": 36}'),
        handles.of("ada"),
    ]

    assert [36, 36, 36] == [handles.get(handle, "age") for handle in made]
    assert 7 == handles.call(handles.module("random"), "randint", 7, 7)
    assert 2 == handles.item(handles.loads('{"a": 2}', "json"), "a")
    assert 5 == len(handles)


def test_results_are_values_or_handles(handles: Handles) -> None:
    """What has a counterpart is a value; the form may say otherwise."""
    ada = handles.of("ada")

    older = handles.call(ada, "older", 10)

    assert isinstance(older, Handle)
    assert 46 == handles.get(older, "age")
    assert not isinstance(handles.get(ada, "age"), Handle)
    assert isinstance(handles.get(ada, "age", "handle"), Handle)
    with pytest.raises(Unsupported):
        handles.apply(ada, "older", [1], form="value")
    with pytest.raises(BadArgument, match='no form "both"'):
        handles.get(ada, "age", "both")


def test_handle_stands_for_its_object_and_an_int_for_itself(handles: Handles) -> None:
    """Only a Handle is one among arguments."""
    kept = handles.keep([])
    ada = handles.of("ada")

    handles.call(kept, "append", ada)
    handles.call(kept, "append", int(ada))

    assert handles.reach(ada) is handles.reach(kept)[0]
    assert int(ada) == handles.reach(kept)[1]


def test_attributes_and_items_change(handles: Handles, context: Context) -> None:
    """They are set and deleted, and reading and dropping deletes nothing."""
    ada = handles.of("ada")
    relative = handles.new("Person", ["Bob"])

    handles.set(ada, "relative", relative)
    handles.release(handles.get(ada, "relative"))
    handles.release(relative)

    assert "Bob" == context.namespace["ada"].relative.name
    handles.delete(ada, "relative")
    assert not hasattr(context.namespace["ada"], "relative")
    table = handles.keep({"a": 1})
    handles.set_item(table, "b", ada)
    handles.delete_item(table, "a")
    assert {"b": context.namespace["ada"]} == handles.reach(table)


def test_iteration_closed_early_closes_the_generator(
    handles: Handles, context: Context
) -> None:
    """Items come one by one, and an early end is the generator's."""
    handle = handles.of("count()")
    items = handles.iterate(handle)
    first = next(items)
    items.close()  # type: ignore[attr-defined]
    handles.release(handle)

    assert (0, [1]) == (first, context.namespace["ended"])


def test_questions(handles: Handles) -> None:
    """Length, membership and comparisons are Python's."""
    numbers = handles.keep([1, 2])

    assert (2, True, False) == (
        handles.length(numbers),
        handles.contains(numbers, 1),
        handles.contains(numbers, 3),
    )
    assert handles.compare(numbers, "==", handles.keep([1, 2]))
    assert not handles.compare(numbers, "is", handles.keep([1, 2]))
    with pytest.raises(BadArgument, match='no comparison "="'):
        handles.compare(numbers, "=", 1)


def test_objects_are_described_and_serialized(handles: Handles) -> None:
    """The forms are those of every host."""
    numbers = handles.keep([1, 2])

    assert "[1,2]" == handles.value(numbers, "json")
    assert 5 == handles.value(handles.keep(5))
    assert ("list", 2) == (
        handles.info(numbers)["type"],
        handles.info(numbers)["length"],
    )
    assert "append" in handles.names(numbers)
    with pytest.raises(Unsupported):
        handles.value(numbers)


@pytest.mark.parametrize("number", [0, 1, -1, 2**64, 2**200, 12345 << 24])
def test_number_that_is_no_handle_is_undefined(handles: Handles, number: int) -> None:
    """Each verb refuses it."""
    for verb in (handles.reach, handles.length, handles.info, handles.release):
        with pytest.raises(Undefined, match="is not the handle of an object"):
            verb(number)


def test_stale_handle_is_undefined(handles: Handles) -> None:
    """After its release, and when its slot is used again."""
    stale = handles.keep([])
    handles.release(stale)
    again = handles.keep([])

    with pytest.raises(Undefined):
        handles.reach(stale)
    assert [] == handles.reach(again)


def test_handles_are_released_together(handles: Handles) -> None:
    """The end of a group releases what is left of it, and nothing else."""
    mine = handles.keep([])
    with Handles() as others:
        others.keep({})
        given = others.keep([])
        others.release(given)
        assert 1 == len(list(others))

    with pytest.raises(Undefined):
        handles.reach(given)
    assert [] == handles.reach(mine)


def test_group_from_before_a_reset_closes(handles: Handles) -> None:
    """Its handles are gone already."""
    group = Handles()
    handle = group.keep([])
    contexts.reset()

    with pytest.raises(Undefined):
        group.reach(handle)
    group.close()
    handles.close()

    assert 0 == len(group)
