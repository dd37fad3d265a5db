"""Exceptions as data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pybridge.functions.failure import describe, type_of, words_of
from tests.functions.calls import ran

if TYPE_CHECKING:
    from pybridge.functions.project import Project

SECRET = "hunter22"


def failed(project: Project, code: str, **given: Any) -> dict[str, Any]:
    """Return the failure of a run of that code."""
    run = ran(project, code, **given)
    assert "ERROR" == run.state
    found: dict[str, Any] = run.status.error
    return found


def test_a_failure_has_the_users_own_exception(project: Project) -> None:
    """S-13: type, message and the user's frames, not one sentence for all."""
    found = failed(
        project,
        """
        def inner(x):
            return {}[x]
        def f():
            return inner("key")
        """,
    )

    assert ("KeyError", "'key'", "execute", 1) == tuple(
        found[name] for name in ("type", "message", "stage", "attempt")
    )
    assert [("main.py", "f", 5), ("main.py", "inner", 3)] == [
        (one["file"], one["function"], one["line"]) for one in found["frames"]
    ]
    assert (
        "Traceback (most recent call last):\n"
        '  File "main.py", line 5, in f\n'
        '    return inner("key")\n'
        '  File "main.py", line 3, in inner\n'
        "    return {}[x]\n"
        "KeyError: 'key'"
    ) == found["traceback"]


def test_frames_of_others_are_left_out(project: Project) -> None:
    """Of an error in a library the user sees the line that has called it."""
    found = failed(project, "import json\ndef f():\n    return json.loads('{')")

    assert "json.decoder.JSONDecodeError" == found["type"]
    assert [("f", 3)] == [(one["function"], one["line"]) for one in found["frames"]]


def test_an_unknown_method_of_the_project_is_named(project: Project) -> None:
    """S-13: the real AttributeError."""
    found = failed(project, "def f(project): project.some_method_not_from_sdk()")

    assert "AttributeError" == found["type"]
    assert "some_method_not_from_sdk" in found["message"]


def test_a_users_exception_has_its_own_name(project: Project) -> None:
    """Neither the type nor a message speaks of modules that only we know."""
    found = failed(
        project,
        """
        class Boom(Exception): pass
        def f():
            try:
                1 / 0
            except ZeroDivisionError as exc:
                raise Boom(Boom) from exc
        """,
    )

    assert ("main.Boom", "<class 'main.Boom'>") == (found["type"], found["message"])
    assert "ZeroDivisionError" == found["cause"]["type"]
    assert 5 == found["cause"]["frames"][0]["line"]
    assert "_pybridge" not in json.dumps(found)


@pytest.mark.parametrize(
    ("code", "kind", "line"),
    [
        ("x = 1\ndef q(:\n", "SyntaxError", 2),
        ("import nonexistent_mod", "ModuleNotFoundError", 1),
        ("x = 1\n1 / 0", "ZeroDivisionError", 2),
    ],
)
def test_a_source_that_cannot_be_imported_fails_in_its_stage(
    project: Project, code: str, kind: str, line: int
) -> None:
    """S-4: what goes wrong while the source is loaded is told with its line."""
    found = failed(project, code + "\ndef f(): pass")

    assert (kind, "source") == (found["type"], found["stage"])
    assert ("main.py", line) == (
        found["frames"][-1]["file"],
        found["frames"][-1]["line"],
    )


def test_a_long_traceback_is_cut_in_the_middle(project: Project) -> None:
    """A recursion without end does not make a status without end."""
    found = failed(project, "def f(): return f()")

    assert "RecursionError" == found["type"]
    assert 41 == len(found["frames"])
    assert "left_out" in found["frames"][20]
    assert "frames left out]" in found["traceback"]


class Silent(Exception):  # noqa: N818 - it says nothing
    def __str__(self) -> str:
        raise ValueError("no words")


def test_an_exception_without_words_is_told_all_the_same() -> None:
    """A message that cannot be had does not hide the type."""
    assert "<its message cannot be had: ValueError>" == words_of(Silent())
    assert "Silent" in type_of(Silent())
    assert "" == words_of(KeyboardInterrupt())
    assert "SystemExit" == type_of(SystemExit(3))


def test_a_long_message_is_cut() -> None:
    """A message is kept up to a size."""
    found = describe(ValueError("x" * 100_000), stage="execute")

    assert len(found["message"]) < 17_000
    assert "100,000 characters" in found["message"]


def test_texts_that_are_no_unicode_are_kept() -> None:
    """NUL and lone surrogates pass through JSON."""
    found = describe(ValueError("a\0\ud800"), stage="execute", attempt=2)

    assert "a\0\ud800" == json.loads(json.dumps(found))["message"]
    assert 2 == found["attempt"]


def test_secrets_are_nowhere_in_a_failure(project: Project) -> None:
    """A secret in a message, in a line of code or in a fault is masked."""
    project.new_secret(name="TOKEN", secret_value=SECRET)
    found = failed(
        project,
        """
        import os
        def f(x: int = 5):
            token = os.environ["TOKEN"]; raise ValueError("hunter22 " + token)
        """,
        secrets=["TOKEN"],
    )

    assert "*** ***" == found["message"]
    assert "hunter22" not in json.dumps(found)


def test_groups_have_all_their_exceptions() -> None:
    """Of several exceptions at once each is told."""
    group = ExceptionGroup("two", [ValueError("a"), TypeError("b")])

    found = describe(group, stage="execute")

    assert ["ValueError", "TypeError"] == [one["type"] for one in found["exceptions"]]
    noted = ValueError("a")
    noted.add_note("and a note")
    assert "a\nand a note" == words_of(noted)
