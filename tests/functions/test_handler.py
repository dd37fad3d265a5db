"""The decorator that names what a function returns."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from pybridge.errors import BadArgument
from pybridge.functions import handler
from pybridge.functions.marks import Declared, marked
from tests.functions.calls import ran

if TYPE_CHECKING:
    from collections.abc import Callable

    from pybridge.functions.project import Project


def test_handler_leaves_the_function_as_it_is() -> None:
    """S-9: a marked function is the function itself, called by anybody as before."""

    def f(x: int) -> int:
        return x + 1

    made = handler(outputs=["y"])(f)

    assert made is f
    assert 2 == made(1)
    assert ((Declared("y"),), False) == marked(f)


def test_handler_does_not_take_wraps_for_its_mark(project: Project) -> None:
    """S-9: another decorator with functools.wraps is not mistaken for a handler."""
    run = ran(
        project,
        """
        import functools
        def loud(function):
            @functools.wraps(function)
            def inner(*args, **kwargs):
                return function(*args, **kwargs).upper()
            return inner
        @loud
        def f(x):
            return x
        """,
        parameters={"x": "a"},
    )

    assert {"output_0": "A"} == run.results()


@pytest.mark.parametrize("order", ["inside", "outside"])
def test_handler_works_on_either_side_of_another_decorator(order: str) -> None:
    """The mark is found through functools.wraps."""

    def twice(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inner(*args: Any) -> Any:
            return function(*args) * 2

        return inner

    def f(x: int) -> int:
        return x

    mark = handler(outputs=["y"])
    made = twice(mark(f)) if order == "inside" else mark(twice(f))

    note = marked(made)
    assert note is not None
    assert ("y",) == tuple(one.name for one in note.outputs)
    assert 4 == made(2)


def test_handler_works_without_parentheses_and_without_names() -> None:
    """S-24: `@handler`, `@handler()` and `@handler(outputs=[])` name nothing."""

    def f() -> None: ...

    for made in (handler(f), handler()(f), handler(outputs=[])(f)):  # type: ignore[arg-type]
        note = marked(made)
        assert note is not None
        assert () == note.outputs


def test_handler_refuses_names_that_are_repeated() -> None:
    """S-24: of two outputs with one name, one would be lost."""
    with pytest.raises(BadArgument, match="'a' is named twice"):
        handler(outputs=["a", "b", "a"])


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        (5, "a list of names, not int"),
        ([""], "output 0 is a name"),
        (["a", 3], "output 1 is a name, not int 3"),
        ([{"kind": "table"}], "'name' is missing"),
        ([{"name": "a"}], "'kind' is missing"),
        ([{"name": "a", "kind": "table", "spec": {}}], "'spec' is unknown"),
        ([{"name": "a", "kind": "table", "spec_kwargs": 1}], "is a dict, not int"),
    ],
)
def test_handler_says_what_is_wrong_with_its_outputs(outputs: Any, words: str) -> None:
    """What outputs may be is checked where they are written."""
    with pytest.raises(BadArgument, match=words):
        handler(outputs=outputs)


def test_handler_marks_callables_that_take_no_attributes() -> None:
    """A builtin gets a function around it that carries the mark."""
    made = handler(outputs=["length"])(len)

    assert 3 == made("abc")
    assert marked(made) is not None
    assert marked(len) is None


def test_handler_refuses_what_cannot_be_called() -> None:
    """A mark on a number would be found by nobody."""
    with pytest.raises(BadArgument, match="what can be called, not int 5"):
        handler(outputs=["a"])(5)  # type: ignore[type-var]


def test_handler_takes_one_name_as_text() -> None:
    """A single name needs no list."""

    @handler(outputs="result")
    def f() -> None: ...

    note = marked(f)
    assert note is not None
    assert (Declared("result"),) == note.outputs
