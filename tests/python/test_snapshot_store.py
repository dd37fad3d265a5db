"""The store of snapshots: whole after any end, shared by processes, collected."""

# ruff: noqa: E501 - the lines are code in texts

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from pybridge import context as contexts
from pybridge import main, snapshot
from pybridge.errors import BadArgument, NotTrusted

if TYPE_CHECKING:
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


def run(code: str, context: str = "a") -> None:
    """Run code."""
    main.execute_code(code, context=context)


def buffers(home: Path) -> set[str]:
    """Return the names in the folder of buffers."""
    return {one.name for one in (home / "contexts.db-buffers").iterdir()}


# ---- Ends and neighbours ------------------------------------------------------------

SAVER = """
import sys
import numpy as np
from pybridge import main, snapshot
n = int(sys.argv[1])
print("ready", flush=True)
while True:
    n += 1
    values = np.full(400_000, float(n))
    main.execute_code("def f(): return n")
    main.set_variable("n", n)
    main.set_variable("values", values)
    main.set_variable("texts", [str(n)] * 1000)
    print(snapshot.save(name="s").id, flush=True)
"""


def check_whole(number: int) -> None:
    """Restore a snapshot and compare its parts with each other."""
    assert [] == snapshot.verify(number).problems
    snapshot.restore(number, clear=True, context="r")
    space = contexts.get("r").namespace
    assert space["n"] == space["f"]() == space["values"][0] == space["values"][-1]
    assert [str(space["n"])] * 1000 == space["texts"]


def test_kill_leaves_the_last_whole_save(home: Path) -> None:
    """Kill -9 at any moment: what was reported is there, and what is there is whole."""
    rng = random.Random(5)  # noqa: S311 (moments, no secrets)
    for turn in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", SAVER, str(turn * 1000)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert b"ready\n" == process.stdout.readline()
            if turn % 2:
                process.stdout.readline()
            time.sleep(rng.random() * 0.06)
            process.send_signal(signal.SIGKILL)
            reported = [int(line) for line in process.stdout.read().split()]

        found = [one.id for one in snapshot.contexts()]
        assert set(reported) <= set(found)
        for number in found[:2]:
            check_whole(number)

    # What the killed ones have left over goes with the next save.
    run("x = 1")
    snapshot.save("a")
    with sqlite3.connect(home / "contexts.db") as connection:
        rows = connection.execute("select hash, size from pybridge_buffer").fetchall()
    connection.close()
    assert buffers(home) == {f"{name}-{size}" for name, size in rows}


WRITER = """
import sys
import numpy as np
from pybridge import main, snapshot
first = int(sys.argv[1])
for n in range(first, first + 12):
    # Every second array is the same in both processes.
    values = np.full(40_000, float(n if n % 2 else n % 10))
    main.set_variable("values", values)
    main.set_variable("n", float(values[0]))
    number = snapshot.save(name=f"w{first}").id
    if n % 3 == 0:
        snapshot.delete(number)
"""


def test_two_processes_save_into_one_store(home: Path) -> None:
    """Each waits for the other, and none takes away a buffer that the other needs."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(first)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for first in (100, 200)
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]

    assert ["", ""] == errors
    assert 16 == len(snapshot.contexts())
    for one in snapshot.contexts():
        assert [] == snapshot.verify(one.id).problems
        snapshot.restore(one.id, context="r")
        space = contexts.get("r").namespace
        assert space["n"] == space["values"][-1]


def test_threads_save_into_one_store(home: Path) -> None:
    """Each thread has its own connection."""
    run("import numpy as np\nv = np.zeros(20_000)")
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                snapshot.save("a")
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(120)

    assert [] == failures
    assert 20 == len(snapshot.contexts())


# ---- Buffers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("durable", "levels"),
    [(False, [0, 1, 1, 1]), (True, [2, 2, 2, 2])],
    ids=["outlives the process", "durable"],
)
def test_only_a_store_that_holds_nothing_is_not_synced(
    durable: bool, levels: list[int], home: Path
) -> None:
    """What a power cut could damage is synced: not the first snapshot of a new file."""
    path = home / "new.db"
    found = []

    def level() -> int:
        ((now,),) = store.query("select synchronous from pragma_synchronous")
        return int(now)

    with snapshot.Store.open(path, durable) as store:
        for _ in range(2):
            with store.transaction():
                store.create()
                found.append(level())
            found.append(level())

    assert found == levels


def test_a_store_that_another_has_filled_meanwhile_is_synced(home: Path) -> None:
    """Whether a store holds nothing is asked when a save begins."""
    path = home / "new.db"
    with snapshot.Store.open(path) as store:
        with snapshot.Store.open(path) as other, other.transaction():
            other.create()
        with store.transaction():
            ((level,),) = store.query("select synchronous from pragma_synchronous")

    assert level == 1


def test_unchanged_buffers_are_not_written_again(home: Path) -> None:
    """A content that is there already costs no second file, whatever its name."""
    run(
        "import numpy as np, pandas as pd\n"
        "df = pd.DataFrame({'a': np.arange(50_000), 's': ['t%d' % i for i in range(50_000)]})\n"
        "arr = np.zeros(50_000)\n"
    )
    first = snapshot.save("a")
    run("again = df.copy(deep=True)\narr[5] = 1")

    second = snapshot.save("a")
    third = snapshot.save("a")

    assert first.bytes_written > 1_000_000
    assert 400_000 == second.bytes_written
    assert 0 == third.bytes_written


def test_the_hash_of_a_buffer_in_pieces_is_that_of_the_whole(home: Path) -> None:
    """A large buffer, hashed piece by piece as it is written, verifies as a whole."""
    run("import numpy as np; a = np.arange(437_001.0)", "a")
    made = snapshot.save("a")

    found = snapshot.verify(made.id)

    assert (1, 437_001 * 8, []) == (found.buffers, found.size, found.problems)


@pytest.mark.usefixtures("home")
def test_progress_counts_bytes_to_the_end() -> None:
    """Saves and restores tell how much is done, in steps that only grow."""
    run("import numpy as np; a = np.arange(437_001.0); b = a.view(); c = 'x'")
    saving: list[tuple[int, int]] = []
    restoring: list[tuple[int, int]] = []

    snapshot.save("a", progress=lambda *step: saving.append(step))
    snapshot.restore("a", progress=lambda *step: restoring.append(step))

    for steps in (saving, restoring):
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1] > 437_001 * 8
        assert 1 == len({total for _, total in steps})
    assert len(saving) > 4  # a step a piece


def test_progress_that_raises_ends_a_save_that_leaves_nothing(home: Path) -> None:
    """Neither a snapshot nor a part of a buffer stays."""
    run("import numpy as np; a = np.arange(437_001.0)")

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        snapshot.save("a", progress=stop)

    assert set() == buffers(home)
    assert [] == snapshot.contexts()


def test_memory_that_two_names_share_is_written_once(home: Path) -> None:
    """Views of one array cost one buffer, whichever pickles ask for it."""
    run("import numpy as np; a = np.arange(300_000.0); b = a.view(); c = a.view()")

    made = snapshot.save("a")

    assert made.bytes_written == 300_000 * 8
    assert len(buffers(home)) == 1


def test_buffers_go_with_the_last_snapshot_that_needs_them(home: Path) -> None:
    """Deleting collects them; what another snapshot needs stays."""
    run("import numpy as np\nv = np.zeros(20_000)\nw = np.ones(20_000)")
    first = snapshot.save("a")
    second = snapshot.save("a", mask="v")

    assert 2 == len(buffers(home))
    snapshot.delete(first.id)
    assert 1 == len(buffers(home))
    snapshot.restore(second.id, context="b")
    snapshot.delete("a")
    assert set() == buffers(home)

    assert 0 == contexts.get("b").namespace["v"].sum()


def test_restored_arrays_can_be_written_and_the_store_stays(home: Path) -> None:
    """A mapping is private."""
    run("import numpy as np\nv = np.zeros(20_000)")
    number = snapshot.save("a").id
    snapshot.restore(number, context="b")

    contexts.get("b").namespace["v"][:] = 7
    snapshot.restore(number, context="c")

    assert 0 == contexts.get("c").namespace["v"].sum()
    assert [] == snapshot.verify(number).problems


def test_many_buffers_are_not_all_mapped(home: Path) -> None:
    """Each mapping keeps a file open, and a process has only so many."""
    run("import numpy as np\nmany = [np.full(9000, i) for i in range(400)]")
    snapshot.restore(snapshot.save("a").id, context="b")

    import psutil

    assert 300 > psutil.Process().num_fds()
    assert [399] * 9000 == contexts.get("b").namespace["many"][-1].tolist()


def test_memory_mapped_arrays_are_saved_by_value(home: Path, tmp_path: Path) -> None:
    """The file that they were mapped from may go."""
    run(
        "import numpy as np\n"
        f"m = np.memmap({str(tmp_path / 'm')!r}, 'f8', 'w+', shape=(20_000,))\n"
        "m[:] = 3\npart = m[::2]\n"
    )
    number = snapshot.save("a").id
    (tmp_path / "m").unlink()

    snapshot.restore(number, context="b")

    space = contexts.get("b").namespace
    assert (60_000, 30_000) == (space["m"].sum(), space["part"].sum())


# ---- Looking around -----------------------------------------------------------------


def test_search_finds_by_name_type_text_and_date(home: Path) -> None:
    """All that is given has to fit."""
    run(
        "import json as j\nneedle = 'a Needle'\ndef f():\n  'docs'\n  return 'NEEDLE'\nx = 1"
    )
    snapshot.save("a", "first")
    run("x = [1, 2]")
    last = snapshot.save("a", "second")
    created = snapshot.describe(last.id).created

    def found(**how: Any) -> set[tuple[str, str]]:
        return {(one.context, one.entry.name) for one in snapshot.search(**how)}

    assert {("first", "x"), ("second", "x")} == found(name="x")
    assert {("second", "x")} == found(name="x", type="li*")
    assert {("first", "f"), ("first", "needle")} == found(text="needle", before=created)
    assert {("second", "f")} == found(text="docs", after=created)
    assert {("first", "j"), ("second", "j")} == found(text="json")
    assert set() == found(name="nothing")


def test_search_does_not_look_into_addresses(home: Path) -> None:
    """Where an object was in memory is no part of its value."""
    run("def f(): return 1\nclass C: pass\nc = C()\ntold = 'is at 0x7f'")
    snapshot.save("a")

    found = snapshot.search(text="at 0x")

    assert ["told"] == [one.entry.name for one in found]
    assert {"f", "c"} == {one.entry.name for one in snapshot.search(text="<")} - {"C"}


def test_diff_says_what_was_added_removed_and_changed(home: Path) -> None:
    """With both previews; what was only saved again is no difference."""
    run("import numpy as np\nsame = [1]\nx = 1\ngone = 2\nv = np.zeros(20_000)\n"
        "def f(): return 1\ndef g(): return 2\nt = (1,)")  # fmt: skip
    first = snapshot.save("a").id
    run(
        "del gone\nx = 5\nnew = 3\nv[7] = 1\ndef f(): return 3\ndef g(): return 2\nt = (2,)"
    )

    made = snapshot.diff(first, snapshot.save("a").id)

    assert ["new"] == [one.name for one in made.added]
    assert ["gone"] == [one.name for one in made.removed]
    assert {"x", "v", "f", "t"} == {one.name for one in made.changed}
    changed = {one.name: (one.before, one.after) for one in made.changed}
    assert ("1", "5") == changed["x"]
    assert ("(1,)", "(2,)") == changed["t"]
    assert ("def f(): return 1\n", "def f(): return 3\n") == changed["f"]


# ---- From here to there -------------------------------------------------------------


def test_transfer_binds_functions_to_the_target(home: Path) -> None:
    """Data is the same object; functions and classes see the globals of the target."""
    run(
        "import math\n"
        "x = [1]\n"
        "def f(): return x\n"
        "class A:\n"
        "  n = x\n"
        "  def get(self): return x\n"
        "  @classmethod\n"
        "  def make(cls): return cls()\n"
        "class B(A):\n"
        "  def get(self): return super().get() + [2]\n"
        "f.me = 1\n"
    )
    run("x = [9]", "t")

    report = snapshot.transfer("math, f, A, B", "a", "t")

    assert ["math", "f", "A", "B"] == [one.name for one in report.restored]
    source, target = contexts.get("a").namespace, contexts.get("t").namespace
    assert ([9], [1]) == (target["f"](), source["f"]())
    assert [9, 2] == target["B"].make().get()
    assert target["A"] is target["B"].__base__ is not source["A"]
    assert target["A"].n is source["x"]
    assert 1 == target["f"].me
    assert target["f"].__module__ == target["__name__"]
    with pytest.raises(BadArgument, match="are both the context 'a'"):
        snapshot.transfer("*", "a", "a")


CODE = "import numpy as np\nx = [1]\ny = x\ndef f(): return x\nv = np.arange(50_000.)\n"


def test_export_and_load_carry_everything(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file, into another store; still signed by whoever saved it."""
    run(CODE)
    file = snapshot.export(snapshot.save("a", "n", description="d").id, tmp_path / "e")

    with snapshot.Store.open(tmp_path / "other.db") as other:
        number = snapshot.load(file, other)
        snapshot.restore(number, context="b", store=other)
        assert [] == snapshot.verify(number, other).problems
        assert "d" == snapshot.contexts(other)[0].description
        monkeypatch.setenv("PYBRIDGE_KEY", "another")
        with pytest.raises(NotTrusted, match="another key"):
            snapshot.restore(number, context="b", store=other)

    space = contexts.get("b").namespace
    assert space["y"] is space["x"] is space["f"]()
    assert 49_999 == space["v"][-1]
    assert 0o600 == file.stat().st_mode & 0o777


def rewritten(file: Path, target: Path, how: str) -> None:
    """Write an exported file again with something wrong in it."""
    with (
        zipfile.ZipFile(file) as old,
        zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new,
    ):
        for name in old.namelist():
            data = old.read(name)
            kind = zipfile.ZIP_STORED
            if how == "compressed":
                kind = zipfile.ZIP_DEFLATED
            if name.startswith("buffers/"):
                if how == "missing":
                    continue
                data = b"x" * len(data) if how == "other" else data
                data = data[:-1] if how == "short" else data
            if name == "rows.json":
                data = data.replace(b"-", b"/") if how == "names" else data
                data = (
                    data.replace(b'"pybridge": 1', b'"pybridge": 2')
                    if (how == "format")
                    else data
                )
                data = data[:50] if how == "json" else data
                data = (
                    data.replace(b'buffer": [', b'buffer": [[0, 0, "../x", 5],')
                    if (how == "path")
                    else data
                )
            new.writestr(name, data, kind)


@pytest.mark.parametrize(
    "how", ["compressed", "missing", "other", "short", "format", "json", "path"]
)
def test_load_refuses_a_file_that_is_not_what_it_says(
    how: str, home: Path, tmp_path: Path
) -> None:
    """Nothing of it gets into the store, nor beside it."""
    run(CODE)
    file = snapshot.export(snapshot.save("a").id, tmp_path / "e")
    rewritten(file, tmp_path / "f", how)

    with snapshot.Store.open(tmp_path / "s" / "other.db") as other:
        with pytest.raises(BadArgument):
            snapshot.load(tmp_path / "f", other)
        assert [] == snapshot.contexts(other)
    assert not (tmp_path / "x-5").exists()
    assert not (tmp_path / "s" / "x-5").exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 100])
def test_load_refuses_what_is_no_snapshot(content: bytes, home: Path) -> None:
    """The message names the file."""
    home.mkdir()
    (home / "f").write_bytes(content)

    with pytest.raises(BadArgument, match="is no exported snapshot"):
        snapshot.load(home / "f")
    with pytest.raises(BadArgument, match="is no exported snapshot"):
        snapshot.load(home / "nothing")
