"""Standard streams that are kept in an object."""

# ruff: noqa: T201 - printing is what is tested

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import pytest

from pybridge import main
from pybridge.errors import BadArgument
from pybridge.redirect import Redirect

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """Each test ends with the streams that it has begun with."""
    before = sys.stdin, sys.stdout, sys.stderr
    yield
    assert before == (sys.stdin, sys.stdout, sys.stderr)


def test_output_of_a_context_is_kept() -> None:
    """Both streams, each by itself and together in the order of printing."""
    with Redirect() as streams:
        main.execute_code(
            "import sys; print('a'); print('b', file=sys.stderr); print(1)"
        )

    assert ("a\n1\n", "b\n", "a\nb\n1\n") == (
        streams.stdout,
        streams.stderr,
        streams.text,
    )


def test_text_is_there_while_it_is_printed() -> None:
    """It can be read in between, and is then forgotten."""
    streams = Redirect()
    streams.enable()
    try:
        print("one")
        assert "one\n" == streams.read()
        print("two")
        assert "two\n" == streams.stdout
        streams.clear()
        assert ("", True) == (streams.text, streams.enabled)
    finally:
        streams.disable()
        streams.disable()
    assert not streams.enabled


def test_input_is_fed() -> None:
    """Lines, whole texts, more later, and an end."""
    with Redirect(stdin="Ann\nrest") as streams:
        main.execute_code("name = input('who? '); import sys; rest = sys.stdin.read()")
        streams.feed("x\ny\n")
        assert ["x\n", "y\n"] == list(sys.stdin)
        with pytest.raises(EOFError):
            input()

    assert ("Ann", "rest") == (main.get_variable("name"), main.get_variable("rest"))
    assert "who? " == streams.stdout


def test_input_is_left_alone_where_none_is_given() -> None:
    """And cannot be fed."""
    before = sys.stdin
    with Redirect() as streams:
        assert sys.stdin is before
        with pytest.raises(BadArgument, match="not redirected"):
            streams.feed("x")


def test_limit_keeps_the_newest() -> None:
    """Of each stream so many characters; the rest is counted."""
    with Redirect(limit=5) as streams:
        print("123", end="")
        print("4567", end="")
        print("abcdefgh", end="", file=sys.stderr)

    assert ("34567", "defgh", 5) == (streams.stdout, streams.stderr, streams.dropped)
    with pytest.raises(BadArgument, match="-1"):
        Redirect(limit=-1)


def test_redirects_nest() -> None:
    """The innermost has the text, also where one is used again."""
    outer, inner = Redirect(stdin="outer\n"), Redirect(stdin="inner\n")
    with outer:
        print("before")
        with inner:
            print("inside", input())
        print("after", input())
    with inner:
        print("again")

    assert "before\nafter outer\n" == outer.text
    assert "inside inner\nagain\n" == inner.text


def test_failure_in_between_puts_everything_back() -> None:
    """Also sys.exit."""
    streams = Redirect(stdin="x")

    with pytest.raises(SystemExit), streams:
        main.execute_code("print(1)\nraise SystemExit")

    assert ("1\n", False) == (streams.stdout, streams.enabled)


def test_only_its_own_thread_is_redirected() -> None:
    """Others print and read as before; two at once mix nothing, whoever ends first."""
    both, first_is_done = threading.Barrier(2), threading.Event()
    seen: dict[str, str] = {}

    def work(name: str) -> None:
        streams = Redirect(stdin=f"{name}\n" * 2)
        with streams:
            both.wait()
            print(name, input())
            both.wait()
            if name == "second":
                first_is_done.wait()
                print(name, input())
        if name == "first":
            first_is_done.set()
        seen[name] = streams.text

    with Redirect() as mine:
        threads = [
            threading.Thread(target=work, args=(n,)) for n in ("first", "second")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print("mine")

    assert {"first": "first first\n", "second": "second second\n" * 2} == seen
    assert "mine\n" == mine.text


def test_misuse_is_an_error() -> None:
    """Enabled twice, or ended on another thread."""
    said: list[str] = []

    def end(streams: Redirect) -> None:
        try:
            streams.disable()
        except BadArgument as exc:
            said.append(str(exc))

    with Redirect() as streams:
        with pytest.raises(BadArgument, match="enabled already"):
            streams.enable()
        thread = threading.Thread(target=end, args=(streams,))
        thread.start()
        thread.join()

    assert ["the redirect was enabled on another thread; disable it there"] == said
