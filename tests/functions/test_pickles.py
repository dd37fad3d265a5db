"""Signed pickles of objects."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from pybridge.errors import BadArgument, NotTrusted, Unsupported
from pybridge.functions import pickles
from tests.functions.calls import ran

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.functions.project import Project


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of these tests' own."""
    monkeypatch.setenv("PYBRIDGE_KEY", "of the tests")


def test_a_signed_pickle_is_an_ordinary_one() -> None:
    """The signature stands where pickle does not look."""
    data = pickles.dumps({"a": [1, b"x"]})

    assert {"a": [1, b"x"]} == pickle.loads(data)
    assert {"a": [1, b"x"]} == pickles.loads(data)


class Harm:
    """What runs code when it is loaded."""

    def __reduce__(self) -> Any:
        return eval, ("(_ for _ in ()).throw(SystemError('it ran'))",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[: data.rfind(b"\n# pybridge")], "is not signed"),
        (lambda data: data.replace(b"inside", b"outs1d"), "was changed since"),
        (
            lambda data: data.replace(b'"python": "3', b'"python": "4'),
            "was changed since",
        ),
        (lambda data: data[:-40], "is not signed"),
    ],
    ids=["unsigned", "changed", "signature of another", "cut"],
)
def test_what_was_changed_is_refused(change: Any, words: str) -> None:
    """An unsigned or changed pickle is refused before it is loaded, with what to do."""
    data = change(pickles.dumps({"inside": 1}))

    with pytest.raises(NotTrusted, match=words) as caught:
        pickles.loads(data, name="k.pickle")

    assert "'k.pickle'" in str(caught.value)
    assert "trust=True" in str(caught.value)


def test_nothing_of_a_pickle_runs_before_it_is_trusted() -> None:
    """A refused pickle has run no code."""
    with pytest.raises(NotTrusted):
        pickles.loads(pickle.dumps(Harm()))
    with pytest.raises(BadArgument, match="SystemError: it ran"):
        pickles.loads(pickle.dumps(Harm()), trust=True)


def test_a_pickle_of_another_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody else has signed is theirs, until it is signed anew."""
    data = pickles.dumps(5)
    monkeypatch.setenv("PYBRIDGE_KEY", "another")

    with pytest.raises(NotTrusted, match="is signed by another key"):
        pickles.loads(data)
    assert 5 == pickles.loads(data, trust=True)
    assert 5 == pickles.loads(pickles.sign(data))


def test_code_of_another_python_is_refused() -> None:
    """Bytecode of another version would crash: it is not loaded, even if trusted."""
    data = pickles.dumps(lambda: 1)
    place = data.rfind(b'"python": "')
    other = data[:place] + data[place:].replace(b'"python": "3.', b'"python": "4.')

    with pytest.raises(BadArgument, match="has code of Python 4"):
        pickles.loads(other, trust=True)


def test_what_cannot_be_pickled_is_told() -> None:
    """An object that cannot be kept is named."""
    with pytest.raises(Unsupported, match="generator cannot be pickled"):
        pickles.dumps(_ for _ in ())


@pytest.mark.parametrize("data", [b"", b"nonsense", pickle.dumps("x" * 50)[:20]])
def test_what_is_no_pickle_is_told(data: bytes) -> None:
    """A damaged file is an error in words."""
    with pytest.raises(BadArgument, match="cannot be read"):
        pickles.loads(data, trust=True)


def test_an_artifact_that_was_changed_is_refused(project: Project) -> None:
    """An artifact's file that is not what was signed is not loaded."""
    run = ran(project, "class K: x = 'inside'\ndef f(): return K()")
    artifact = run.output("output_0")
    path: Path = artifact.local()
    path.write_bytes(path.read_bytes().replace(b"inside", b"outs1d"))

    with pytest.raises(NotTrusted, match="was changed since it was signed"):
        artifact.as_object()

    assert "outs1d" == artifact.as_object(trust=True).x


def test_an_object_is_an_input_as_its_class(project: Project) -> None:
    """A pickled object is what an annotation with its class gets."""
    code = """
        class K:
            def __init__(self, x):
                self.x = x
        class Other: pass
        def f(): return K(5)
        def g(k: K): return k.x
        def h(k: Other): return k.x
        """
    key = ran(project, code).output("output_0", as_key=True)

    good = ran(project, code, "g", inputs={"k": key})
    bad = ran(project, code, "h", inputs={"k": key})

    assert 5 == good.result("output_0")
    assert "should be Other, and is K" in bad.status.message
