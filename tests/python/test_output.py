"""The streams that stand for sys.stdout and sys.stderr."""

# ruff: noqa: T201, SLF001, F841, PT012 - printing is what is tested

from __future__ import annotations

import io
import logging
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pybridge import output
from pybridge.output import Capture, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@contextmanager
def installed() -> Iterator[list[tuple[int, bytes]]]:
    """Install the streams over a list; not a fixture, as pytest has its own streams."""
    taken: list[tuple[int, bytes]] = []
    before = sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__
    output.install(lambda number, text: taken.append((number, text)))
    try:
        yield taken
    finally:
        sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__ = before  # type: ignore[misc]
    assert [] == output._captures.stack


def test_text_goes_to_the_sink_at_once() -> None:
    """Both streams, as UTF-8, in the order of writing."""
    with installed() as written:
        print("é", end="")
        print("err", file=sys.stderr, end="")
        sys.stdout.writelines(["a", "b"])

        assert [(1, "é".encode()), (2, b"err"), (1, b"a"), (1, b"b")] == written


def test_write_returns_the_length() -> None:
    """As of any text stream, and empty text is not written."""
    with installed() as written:
        assert 3 == sys.stdout.write("é\n\0")
        assert 0 == sys.stdout.write("")
        assert 1 == len(written)


def test_bytes_go_to_the_sink_too() -> None:
    """sys.stdout.buffer takes bytes that need not be text."""
    with installed() as written:
        sys.stdout.buffer.write(b"\xff\0")
        sys.stdout.buffer.flush()

        assert [(1, b"\xff\0")] == written


def test_stream_answers_as_a_text_stream() -> None:
    """What libraries ask of sys.stdout."""
    with installed() as written:
        out: Any = sys.stdout

        assert io.TextIOBase in type(out).__mro__
        assert ("utf-8", "strict") == (out.encoding, out.errors)
        assert "backslashreplace" == sys.stderr.errors
        assert (1, 2) == (out.fileno(), sys.stderr.fileno())
        assert "<stdout>" == out.name
        assert out.writable()
        assert not out.isatty()
        assert not out.readable()
        assert not out.closed
        assert out.newlines is None
        out.flush()
        out.close()
        out.reconfigure(encoding="latin-1")
        print("still", end="")
        assert [(1, b"still")] == written


def test_lone_surrogates() -> None:
    """They are an error on stdout, and their escape on stderr."""
    with installed() as written:
        with pytest.raises(UnicodeEncodeError):
            print("\ud800")
        print("\ud800", file=sys.stderr, end="")

        assert [(2, b"\\ud800")] == written


@pytest.mark.parametrize("wrong", [b"x", None, 3])
def test_write_takes_text_only(wrong: Any) -> None:
    """Anything else is a TypeError."""
    with installed() as written:
        with pytest.raises(TypeError, match="must be str"):
            sys.stdout.write(wrong)
        with pytest.raises(io.UnsupportedOperation):
            sys.stdout.read()


def test_capture_holds_back_from_the_sink() -> None:
    """While it is entered, and no longer."""
    with installed() as written:
        with Capture() as captured:
            print("out")
            print("err", file=sys.stderr)
            sys.stdout.buffer.write(b"\xc3\xa9\xff")
        print("after", end="")

        assert "out\né\ufffd" == captured.stdout
        assert "err\n" == captured.stderr
        assert [(1, b"after")] == written


def test_captures_nest() -> None:
    """The innermost gets the text."""
    with installed() as written:
        with Capture() as outer:
            print("a")
            with Capture() as inner:
                print("b")
            print("c")

        assert ("a\nc\n", "b\n") == (outer.stdout, inner.stdout)
        assert [] == written


def test_capture_is_of_one_thread() -> None:
    """What another thread prints meanwhile goes where it always does."""
    with installed() as written:
        with Capture() as captured:
            thread = threading.Thread(target=lambda: print("other", end=""))
            thread.start()
            thread.join()
            print("mine", end="")

        assert "mine" == captured.stdout
        assert [(1, b"other")] == written


def test_many_threads_capture_at_once() -> None:
    """Each has its own text."""
    with installed() as written:
        wrong: list[str] = []

        def work(number: int) -> None:
            for i in range(200):
                with Capture() as captured:
                    print(number, i)
                if captured.stdout != f"{number} {i}\n":
                    wrong.append(captured.stdout)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [] == wrong
        assert [] == written


def test_capture_over_somebody_elses_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python ran before, its streams are put back as they were."""
    theirs = io.StringIO()
    monkeypatch.setattr(sys, "stdout", theirs)

    with Capture() as captured:
        print("kept")
        thread = threading.Thread(target=lambda: print("theirs"))
        thread.start()
        thread.join()
    back = sys.stdout
    print("after")

    assert back is theirs
    assert "kept\n" == captured.stdout
    assert "theirs\nafter\n" == theirs.getvalue()


def test_capture_ends_with_an_exception() -> None:
    """What was printed before it is there."""
    with installed() as written:
        captured = Capture()
        with pytest.raises(ValueError, match="x"), captured:
            print("before")
            raise ValueError("x")

        assert "before\n" == captured.stdout


def test_logging_reaches_the_sink() -> None:
    """Libraries that keep a stream write to the host too."""
    with installed() as written:
        handler = logging.StreamHandler()
        handler.emit(logging.LogRecord("n", 30, "f", 1, "warned", None, None))

        assert b"warned\n" == b"".join(text for _, text in written)


def test_subprocess_can_inherit_the_stream() -> None:
    """fileno() is a real file, which child processes write to."""
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from pybridge import output\n"
        "output.install(lambda number, text: None)\n"
        "import subprocess\n"
        "subprocess.run(['echo', 'child'], stdout=sys.stdout, check=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True
    )

    assert b"child\n" == done.stdout


def test_exit_without_a_console() -> None:
    """A process whose streams are None captures all the same."""
    stream = Stream(output.STDOUT, output._nowhere)

    assert 1 == stream.write("x")
