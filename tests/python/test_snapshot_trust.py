"""Snapshots and trust: signatures, inspection, the safe mode, broken stores."""

from __future__ import annotations

import copyreg
import os
import pickle
import sqlite3
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybridge import context as contexts
from pybridge import main, snapshot
from pybridge.errors import BadArgument, BridgeError, NotTrusted
from pybridge.snapshot.inspection import globals_of

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep store and key in a folder of the test's own, and contexts to the test."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("PYBRIDGE_STORE", raising=False)
    monkeypatch.delenv("PYBRIDGE_KEY", raising=False)
    contexts.reset()
    yield tmp_path / "pybridge"
    contexts.reset()


CODE = """
import json, numpy as np, pandas as pd
from math import sin as s
x = [1, 2]
y = x
t = (1, 2)
def f(a=1): return a + len(x)
class C: v = 1
c = C()
arr = np.arange(50_000.)
df = pd.DataFrame({'a': np.arange(30_000), 's': [f't{i}' for i in range(30_000)]})
small = df.head(3)
"""


@pytest.fixture
def saved(home: Path) -> int:
    """Save a context with something of everything; return its number."""
    main.execute_code(CODE, context="a")
    return snapshot.save("a").id


def sql(home: Path, statement: str, *params: object) -> list[Any]:
    """Do what a user does with the sqlite3 shell."""
    connection = sqlite3.connect(home / "contexts.db")
    with connection:
        rows = connection.execute(statement, params).fetchall()
    connection.close()
    return rows


class Evil:
    """Runs what it is told when it is loaded."""

    def __reduce__(self) -> Any:
        """Say what is run."""
        return os.system, ("exit 1",)


EVIL = pickle.dumps([Evil()])

# ---- Signatures ---------------------------------------------------------------------

ATTACKS = {
    "a pickle": "update pybridge_pickle set data = :evil",
    "a pickle as text": "update pybridge_pickle set data = 'x'",
    "a new pickle": "insert into pybridge_pickle values (1, 99, :evil)",
    "no pickle": "delete from pybridge_pickle where number = 1",
    "pickles swapped": "update pybridge_pickle set number = -number - 1",
    "a module": "update pybridge_module set module = 'antigravity' where name = 'json'",
    "an attribute": "update pybridge_module set attribute = 'cos' where name = 's'",
    "a submodule": "update pybridge_module set submodules = '[\"this\"]'",
    "a new module": (
        "insert into pybridge_module values (1, 'z', 9, 'antigravity', '', '', '[]')"
    ),
    "an alias": "update pybridge_module set name = 'len' where name = 's'",
    "a name": "update pybridge_variable set name = 'print' where name = 'x'",
    "a function's source": "update pybridge_function set source = 'import this'",
    "a function for another": "update pybridge_function set pickle = 0, part = 0",
    "a class that is a function": "update pybridge_function set kind = 'function'",
    "a source": "update pybridge_source set text = 'import this'",
    "a layout": "update pybridge_variable set arrow = x'7b7d' where name = 'df'",
    "another buffer": "update pybridge_buffer set hash = 'x'",
    "fewer buffers": "delete from pybridge_buffer",
    "the manifest": "update pybridge_context set manifest = manifest || ' '",
    "the signature": "update pybridge_context set signature = 'beef'",
    "no signature": "update pybridge_context set signature = ''",
    "another key": "update pybridge_context set signature = 'x', key = 'other'",
}


@pytest.mark.parametrize("what", ATTACKS)
def test_restore_refuses_what_was_changed(what: str, saved: int, home: Path) -> None:
    """Nothing is loaded; the message says how to trust it; safe mode still works."""
    connection = sqlite3.connect(home / "contexts.db")
    with connection:
        connection.execute(
            ATTACKS[what], {"evil": EVIL} if ":evil" in ATTACKS[what] else {}
        )
    connection.close()
    before = dict(contexts.get("b").namespace)

    with pytest.raises(NotTrusted, match=r"trust=True.*pybridge context trust 1.*safe"):
        snapshot.restore(saved, context="b")

    assert before == contexts.get("b").namespace
    assert "own" != snapshot.describe(saved).signature
    assert [] != snapshot.verify(saved).problems or "own" != (
        snapshot.verify(saved).signature
    )
    snapshot.restore(saved, "t,y", mode="safe", strict=False, context="b")
    assert [1, 2] == contexts.get("b").namespace["y"]


@pytest.mark.parametrize("format_", ["0", "2", "'x'"])
def test_another_format_is_refused(format_: str, saved: int, home: Path) -> None:
    """The message names both."""
    sql(home, f"update pybridge_context set format = {format_}")

    with pytest.raises(BadArgument, match=r"has the format .*, this pybridge reads 1"):
        snapshot.restore(saved, trust=True)


def test_snapshot_of_another_key_is_refused(
    saved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is trusted for once, or signed with one's own."""
    monkeypatch.setenv("PYBRIDGE_KEY", "somebody else")

    with pytest.raises(NotTrusted, match="is signed by another key"):
        snapshot.restore(saved, context="b")
    snapshot.restore(saved, trust=True, context="b")
    assert 3 == main.evaluate("f()", context="b")

    snapshot.trust(saved)
    snapshot.restore(saved, context="c")
    assert "own" == snapshot.describe(saved).signature


def test_trust_takes_an_edit_for_what_was_saved(saved: int, home: Path) -> None:
    """After it the edited JSON is the value, and nothing is changed."""
    sql(home, "update pybridge_variable set json = '[9]' where name = 'x'")
    sql(home, "delete from pybridge_function where name = 'f'")

    snapshot.trust(saved)

    assert ("own", []) == (
        snapshot.verify(saved).signature,
        snapshot.verify(saved).problems,
    )


def test_labels_may_be_edited(saved: int, home: Path) -> None:
    """Name, description and previews are nobody's code."""
    sql(home, "update pybridge_context set name = 'new', description = 'text'")
    sql(home, "update pybridge_variable set repr = 'nothing', type = 'x'")

    assert 3 <= len(snapshot.restore("new", context="b").restored)


# ---- The key ------------------------------------------------------------------------


def test_key_is_made_once_and_only_its_owner_reads_it(saved: int, home: Path) -> None:
    """Mode 0600, and the second save uses the same."""
    path = home / "key"
    first = path.read_bytes()

    snapshot.save("a")

    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert first == path.read_bytes()
    assert 1 == len(sql(home, "select distinct key from pybridge_context"))
    assert first.hex() not in str(sql(home, "select * from pybridge_context"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_key_that_others_can_read_is_refused(mode: int, saved: int, home: Path) -> None:
    """For saving and for restoring."""
    (home / "key").chmod(mode)

    with pytest.raises(BadArgument, match="can be read by others; run chmod 600"):
        snapshot.save("a")
    with pytest.raises(BadArgument, match="can be read by others"):
        snapshot.restore(saved)


def test_key_that_is_no_file_is_refused(home: Path) -> None:
    """A link may lead anywhere; an empty file is no secret."""
    home.mkdir()
    (home / "key").write_bytes(b"")
    (home / "key").chmod(0o600)
    with pytest.raises(BadArgument, match="is too short"):
        snapshot.save("a")

    (home / "key").unlink()
    (home / "key").symlink_to("/etc/hostname")
    with pytest.raises(BadArgument, match="cannot be read"):
        snapshot.save("a")


# ---- Inspection ---------------------------------------------------------------------


def test_inspect_lists_what_would_be_imported(saved: int, home: Path) -> None:
    """Modules, what pickles name, and of whom; nothing is loaded for it."""
    sql(home, "update pybridge_pickle set data = ? where number = 0", EVIL)

    found = {(one.module, one.name): one for one in snapshot.inspect(saved)}

    assert ("posix", "system") in found
    assert ["json"] == found["json", ""].items
    assert ["s"] == found["math", "sin"].items
    assert any(module.startswith("pandas") for module, _ in found)


def op(*parts: bytes) -> bytes:
    """Return a pickle of opcodes."""
    return b"\x80\x05" + b"".join(parts) + b"."


def text(word: str) -> bytes:
    """Return the opcode of a text."""
    return b"\x8c" + bytes([len(word)]) + word.encode()


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"cos\nsystem\n.", ("os", "system", True)),
        (b"(ios\nsystem\n.", ("os", "system", True)),
        (op(text("os"), text("system"), b"\x93"), ("os", "system", True)),
        (op(text("system"), b"\x94", b"0", text("os"), b"h\x03", b"\x93"),
         ("os", "system", True)),
        (op(text("os"), b"q\x07", b"0", b"h\x07", text("a"), b"\x93"),
         ("os", "a", True)),
        (op(text("os"), b"2", b"\x93"), ("os", "os", True)),
        (op(text("a"), text("b"), b"\x86", b"0", text("os"), text("x"), b"\x93"),
         ("os", "x", True)),
        # The name is made while the pickle is loaded.
        (op(b"cbuiltins\nstr\n", b")R", text("x"), b"\x93"), ("?", "x", False)),
        (op(text("os"), b"N", b"\x93"), ("os", "?", False)),
        (op(b"\x82\xf0"), ("?", "extension code 240", False)),
        (op(text("x"), b"\x93"), ("?", "the pickle cannot be read further", False)),
        (b"\x80\x05\x8c\xffx", ("?", "the pickle cannot be read further", False)),
    ],
)  # fmt: skip
def test_inspect_follows_stack_and_memo(
    data: bytes, wanted: tuple[str, str, bool]
) -> None:
    """What cannot be known is reported as such, never left out."""
    found = globals_of(data)

    module, name, known = wanted
    assert any(
        (module, known) == (one[0], one[2]) and one[1].startswith(name) for one in found
    ), found


def test_inspect_knows_registered_extensions() -> None:
    """A number stands for a global."""
    copyreg.add_extension("os", "system", 241)
    try:
        assert ("os", "system", True) in globals_of(op(b"\x82\xf1"))
    finally:
        copyreg.remove_extension("os", "system", 241)


class Watching(pickle.Unpickler):
    """Notes what is imported, and imports nothing."""

    def __init__(self, file: Any, found: set[tuple[str, str]]) -> None:
        super().__init__(file)
        self.found = found

    def find_class(self, module: str, name: str) -> Any:
        """Note a global."""
        self.found.add((module, name))
        return lambda *_, **__: text


@given(st.randoms(use_true_random=False))
def test_inspect_misses_nothing_that_is_loaded(rng: random.Random) -> None:
    """In whatever way a pickle is broken, what the real thing asks for is listed."""
    import io

    good = pickle.dumps(
        [Evil(), {1: (2, "x")}, b"y", ["os", "system"]], rng.randint(0, 5)
    )
    data = bytearray(good)
    for _ in range(rng.randint(0, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    asked: set[tuple[str, str]] = set()
    with suppress(BaseException):  # what it asked for before counts
        Watching(io.BytesIO(bytes(data)), asked).load()

    found = globals_of(bytes(data))

    if all(known for _, _, known in found):
        assert asked <= {(module, name) for module, name, _ in found}


# ---- The safe mode ------------------------------------------------------------------


def test_safe_mode_restores_data_and_loads_no_pickle(saved: int, home: Path) -> None:
    """JSON, arrays and frames come back without any pickle; the rest is listed."""
    sql(home, "update pybridge_pickle set data = ?", EVIL)
    sql(home, "update pybridge_context set signature = ''")

    report = snapshot.restore(saved, mode="safe", context="b")

    assert ["x", "y", "arr", "df", "small"] == [one.name for one in report.restored]
    assert {"json", "np", "pd", "s", "t", "f", "C", "c"} == {
        one.name for one in report.skipped
    }
    a, b = contexts.get("a").namespace, contexts.get("b").namespace
    assert a["x"] == b["x"]
    assert (a["arr"] == b["arr"]).all()
    for name in ("df", "small"):
        assert a[name].equals(b[name])
        assert list(a[name].dtypes) == list(b[name].dtypes)
        assert type(a[name].index) is type(b[name].index)
        assert a[name].columns.dtype == b[name].columns.dtype


@pytest.mark.parametrize(
    ("value", "there"),
    [
        ("pd.DataFrame({'a': [1.5, None], 'b': ['x', None]})", True),
        ("pd.DataFrame({'a': []})", True),
        ("pd.DataFrame({'t': pd.date_range('2020', periods=3)})", True),
        ("pd.DataFrame({'a': [1, 2]}, index=['x', 'y'])", True),
        ("pd.DataFrame({'a': [1, 2]}, index=pd.Index([3, 4], name='i'))", True),
        ("pd.Series(['a', 'b'], name='s')", True),
        ("pd.Series(['abc'] * 40_000)[7:20]", True),
        ("pd.Series(['abc'] * 40_000)[7:]", True),
        ("pd.Series(['abc'] * 40_000)[20_000:]", True),
        ("np.arange(100_000)[::3]", True),
        ("np.arange(90_000).reshape(300, 300).T", True),
        ("np.array(['2020-01-01'], 'M8[D]')", True),
        ("np.float32([1, 2]).reshape(2, 1)", True),
        ("pa.table({'a': [[1], None], 'b': ['x', 'y']})", True),
        ("pl.DataFrame({'a': [1, None], 'b': ['x', 'y']})", True),
        ("pd.DataFrame({'a': [object()]})", False),
        ("pd.DataFrame({1: [1]})", False),
        ("pd.DataFrame({'c': pd.Categorical(['a'])})", False),
        ("np.array([1, 'a'], dtype=object)", False),
    ],
)
def test_safe_mode_restores_frames_exactly_or_not_at_all(
    value: str, there: bool, home: Path
) -> None:
    """A form that would come back as something else is none."""
    main.execute_code(
        f"import numpy as np, pandas as pd, pyarrow as pa, polars as pl\nv = {value}\n",
        context="a",
    )
    number = snapshot.save("a", mask="v").id

    snapshot.restore(number, mode="safe", context="b")
    snapshot.restore(number, context="c")

    full = contexts.get("c").namespace["v"]
    assert there == ("v" in contexts.get("b").namespace)
    if there:
        safe = contexts.get("b").namespace["v"]
        assert type(full) is type(safe)
        assert repr(full) == repr(safe)
        if hasattr(full, "equals"):
            assert full.equals(safe)
        if hasattr(full, "dtype"):
            assert full.dtype == safe.dtype


@pytest.mark.parametrize(
    "layout",
    [
        b"",
        b"{}",
        b"[]",
        b'{"is": "frame"}',
        b'{"is": "array", "dtype": "|O8", "shape": [1], "inline": "AAAAAAAAAAA="}',
        b'{"is": "array", "dtype": "<f8", "shape": [99999999999], "inline": ""}',
        b'{"is": "array", "dtype": "<f8", "shape": [5], "buffer": 9, "offset": 0,'
        b' "strides": [8]}',
        b'{"is": "array", "dtype": "<f8", "shape": [50001], "buffer": 0, "offset": 0,'
        b' "strides": [8]}',
        b'{"is": "array", "dtype": "<f8", "shape": [2], "buffer": 0, "offset": 8,'
        b' "strides": [-16]}',
        b'{"is": "array", "dtype": "<f8", "shape": [-2], "buffer": 0, "offset": 0,'
        b' "strides": [8]}',
        b'{"is": "series", "name": null, "index": {"name": null, "range": [0, 2, 1]},'
        b' "column": {"texts": "large_string", "chunks": [{"length": 1000000,'
        b' "offset": 0, "parts": [null, [0, 0, 64], [0, 0, 64]]}]}}',
        b'{"is": "series", "name": null, "index": {"name": null, "range": [0, 2, 1]},'
        b' "column": {"texts": "large_string", "chunks": [{"length": 2,'
        b' "offset": 0, "parts": [null, [0, 0, 64], [0, 64, 64]]}]}}',
        b'{"is": "series", "name": null, "index": {"name": null, "range": [0, 2, 1]},'
        b' "column": {"texts": "string", "chunks": [{"length": 2,'
        b' "offset": -1, "parts": [null, [0, -8, 8], [0, 64, 64]]}]}}',
        b'{"is": "table", "stream": "AAAA"}',
        b'{"is": "polars", "stream": ""}',
        b"[" * 100_000,
    ],
)
def test_safe_mode_believes_no_layout(layout: bytes, saved: int, home: Path) -> None:
    """Whatever a row says, nothing outside of the buffers is touched."""
    sql(home, "update pybridge_variable set arrow = ? where name = 'arr'", layout)

    with pytest.raises(BadArgument, match="'arr' cannot be restored"):
        snapshot.restore(saved, "arr", mode="safe", context="b")


# ---- Broken stores ------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "update pybridge_buffer set hash = '../../../etc/passwd'",
        "update pybridge_buffer set hash = 'a/b'",
        "update pybridge_buffer set hash = hash || char(10)",
        "update pybridge_buffer set size = 5",
        "update pybridge_buffer set size = -1",
        "update pybridge_buffer set size = 'x'",
        "update pybridge_buffer set size = 9e99",
        "update pybridge_buffer set position = -position",
        "delete from pybridge_buffer",
        "delete from pybridge_pickle",
        "update pybridge_pickle set data = x''",
        "update pybridge_pickle set data = x'80055d942e'",
        "update pybridge_pickle set data = x'80054b012e'",
        "update pybridge_pickle set data = substr(data, 1, length(data) / 2)",
        "update pybridge_variable set part = 7",
        "update pybridge_variable set pickle = -5",
        "update pybridge_variable set json = x'ff00ff', pickle = 777",
        "update pybridge_function set pickle = 1000",
        "update pybridge_module set submodules = 'x'",
        "update pybridge_module set module = ''",
        "update pybridge_module set attribute = 'no.such'",
        "update pybridge_context set manifest = '[]'",
        "update pybridge_context set manifest = '{\"format\": 1}'",
        "update pybridge_context set manifest = x'ff'",
        "drop table pybridge_variable",
        "drop table pybridge_buffer",
    ],
)
def test_broken_rows_are_an_error_and_change_nothing(
    statement: str, saved: int, home: Path
) -> None:
    """Even trusted, what makes no sense is an error; the context is as it was."""
    sql(home, statement)
    before = list(contexts.get("b").namespace.items())

    with pytest.raises(BridgeError):
        snapshot.restore(saved, trust=True, context="b")

    assert before == list(contexts.get("b").namespace.items())


@pytest.mark.parametrize("what", ["cut", "longer", "gone", "folder"])
def test_broken_buffers_are_an_error(what: str, saved: int, home: Path) -> None:
    """A file that is not as long as it was is not mapped; verify says which it is."""
    for path in list((home / "contexts.db-buffers").iterdir()):
        path.chmod(0o600)
        if what == "cut":
            os.truncate(path, 100)
        elif what == "longer":
            os.truncate(path, path.stat().st_size + 1)
        else:
            path.unlink()
            if what == "folder":
                path.mkdir()

    with pytest.raises(BadArgument, match=r"the buffer '.*' (has|cannot be read)"):
        snapshot.restore(saved, context="b")
    assert 1 < len(snapshot.verify(saved).problems)


def test_verify_finds_a_changed_byte(saved: int, home: Path) -> None:
    """A buffer is no code: it is mapped unread, and checked when that is asked for."""
    path = next((home / "contexts.db-buffers").iterdir())
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff")

    snapshot.restore(saved, context="b")
    problems = snapshot.verify(saved).problems

    assert [f"the buffer '{path}' holds something else"] == problems


@pytest.mark.parametrize("content", [b"", b"no database", os.urandom(5000)])
def test_file_that_is_no_store_is_an_error(content: bytes, tmp_path: Path) -> None:
    """An empty file is an empty store."""
    path = tmp_path / "x.db"
    path.write_bytes(content)

    if not content:
        with snapshot.Store.open(path) as store:
            assert [] == snapshot.contexts(store)
        return
    with pytest.raises(BadArgument, match="cannot be opened"):
        snapshot.Store.open(path)
