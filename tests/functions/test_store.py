"""Store: what was acknowledged is there, whoever writes at once and however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from pybridge.errors import BadArgument, HostError
from pybridge.functions.entity import draft
from pybridge.functions.store import Store
from tests.programs import ROOT

EPOCH = "2026-01-02T03:04:05+00:00"


def entry(name: str = "f", type_: str = "function", **more: Any) -> dict[str, Any]:
    """Return an entry to store."""
    kind = {"function": "python", "run": "python+run"}.get(type_, type_)
    given = {"spec": {}, **more}
    return draft(type_, kind, project="p", name=name, **given)


def child(store: Store, code: str, *words: str) -> subprocess.Popen[str]:
    """Start a Python that has the store open as `store`, and `words` in sys.argv."""
    start = (
        "import os, sys\n"
        "from pybridge.functions.store import Store\n"
        "from pybridge.functions.entity import draft\n"
        f"store = Store.open({str(store.root)!r})\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", start + code, *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# ---- Entities ------------------------------------------------------------------------


def test_entity_comes_back_as_it_was(store: Store) -> None:
    """§2.1: kind, metadata, spec, status, user, key, project, id, name; no more."""
    made = entry(
        spec={"text": "ä\ud800\0", "number": 1.5, "list": [None, True, {"a": {}}]},
        metadata={"labels": ["x"], "own": {"kept": 1}},
    )

    store.create(made)

    assert made == store.get(made["key"])
    parts = {"kind", "metadata", "spec", "status", "user", "key", "project", "id"}
    assert parts | {"name"} == set(made)


def test_id_is_given_once(store: Store) -> None:
    """S-37: a second entity of that id is refused, and the first one stays."""
    first = entry("f", uuid="abc")
    store.create(first)

    with pytest.raises(BadArgument, match="there is a function with id 'abc' already"):
        store.create(entry("g", uuid="abc"))

    assert [first] == store.find("p", "function")


def test_all_are_created_or_none(store: Store) -> None:
    """What is created together is there together."""
    store.create(entry("f", uuid="abc"))

    with pytest.raises(BadArgument, match="id 'abc'"):
        store.create_all([entry("g"), entry("h", uuid="abc")])

    assert ["f"] == [one["name"] for one in store.find("p", "function")]


def test_name_without_id_is_the_newest(store: Store) -> None:
    """§2.4: by name the version that was made last, also after changes of others."""
    old, new = entry(uuid="a"), entry(uuid="b")
    store.create(old)
    store.create(new)
    store.put(old)

    assert new == store.get("store://p/function/python/f")
    assert [old, new] == store.find("p", "function", name="f")


def test_age_is_what_the_entity_says(store: Store) -> None:
    """An older version that is put in later is still the older one."""
    new = entry(uuid="a")
    old = entry(uuid="b", metadata={"created": EPOCH})
    store.create(new)
    store.create(old)

    assert new == store.get("store://p/function/python/f")
    assert [old, new] == store.find("p", "function")


def test_find_narrows_by_each_field(store: Store) -> None:
    """Kind, name, id, states and function narrow what is found."""
    for name, state in (("a", "READY"), ("b", "RUNNING"), ("c", "ERROR")):
        made = entry(type_="run", uuid=name, spec={"function": f"python://p/{name}"})
        made["status"]["state"] = state
        store.create(made)

    def ids(**given: Any) -> list[str]:
        return [one["id"] for one in store.find("p", "run", **given)]

    assert ["a", "b", "c"] == ids()
    assert ["b"] == ids(id="b")
    assert [] == ids(kind="other")
    assert ["a", "c"] == ids(states=["READY", "ERROR"])
    assert [] == ids(states=[])
    assert ["c"] == ids(function="python://p/c")
    assert [] == store.find("q", "run")


def test_runs_of_all_projects_are_found_by_state(store: Store) -> None:
    """Who recovers runs asks for all that have not ended."""
    running = entry(type_="run", uuid="a")
    running["status"]["state"] = "RUNNING"
    other = draft("run", "python+run", project="q", uuid="b", spec={})
    store.create(running)
    store.create(other)

    assert ["a", "b"] == [one["id"] for one in store.runs()]
    assert ["a"] == [one["id"] for one in store.runs(["RUNNING"])]


def test_change_is_one_transaction(store: Store) -> None:
    """What an edit raises leaves all as it was."""
    made = entry(spec={"n": 1})
    store.create(made)

    def fail(entity: dict[str, Any]) -> None:
        entity["spec"]["n"] = 2
        raise KeyError("no")

    with pytest.raises(KeyError):
        store.change(made["key"], fail)

    assert made == store.get(made["key"])


def test_change_of_nothing_is_an_error(store: Store) -> None:
    """The key is named."""
    with pytest.raises(BadArgument, match="there is no 'store://p/function/python/x"):
        store.change("store://p/function/python/x:y", dict.clear)


def test_move_notes_state_message_and_time(store: Store) -> None:
    """§3: the status lists the transitions; the last one's words stand there too."""
    made = entry(type_="run")
    store.create(made)

    store.move(made["key"], "RUNNING", attempt=1)
    moved = store.move(made["key"], "ERROR", message="boom", error={"type": "X"})

    assert moved == store.get(made["key"])
    assert moved is not None
    status = moved["status"]
    assert ("ERROR", "boom", 1) == (
        status["state"],
        status["message"],
        status["attempt"],
    )
    assert {"type": "X"} == status["error"]
    steps = [(one["status"], one.get("message")) for one in status["transitions"]]
    assert [("RUNNING", None), ("ERROR", "boom")] == steps


def test_move_that_is_not_allowed_changes_nothing(store: Store) -> None:
    """§3: of two that want to end a run the first one does."""
    made = entry(type_="run")
    store.create(made)
    store.move(made["key"], "STOP")

    assert store.move(made["key"], "COMPLETED", results={"a": 1}) is None

    found = store.get(made["key"])
    assert found is not None
    assert "STOP" == found["status"]["state"]
    assert "results" not in found["status"]


def test_delete_tells_what_was_there(store: Store) -> None:
    """By id one version goes, by name all of them, with the project everything."""
    for identity in "abc":
        store.create(entry(uuid=identity))
    store.create(draft("project", "project", project="p", name="p", spec={}))
    store.set_secret("p", "s", "hush")

    assert store.delete("store://p/function/python/f:a")
    assert not store.delete("store://p/function/python/f:a")
    assert ["b", "c"] == [one["id"] for one in store.find("p", "function")]
    assert store.delete("store://p/function/python/f")
    assert [] == store.find("p", "function")
    assert store.delete("store://p")
    assert store.secret("p", "s") is None
    assert [] == store.projects()


_LOOP: list[object] = []
_LOOP.append(_LOOP)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (object(), r"spec cannot be kept: .*type object"),
        ({"b": [0.5, float("nan")]}, r"spec cannot be kept: a\.b\[1\] is nan, which"),
        (_LOOP, r"spec cannot be kept: circular reference"),
        ([_LOOP, float("inf")], r"spec cannot be kept: "),
    ],
    ids=["object", "nan", "loop", "both"],
)
def test_what_is_not_json_is_refused(store: Store, value: object, told: str) -> None:
    """The part and the reason are named, and nothing is stored."""
    with pytest.raises(BadArgument, match=told):
        store.create(entry(spec={"a": value}))

    assert [] == store.find("p", "function")


def test_files_of_a_name_stay_in_the_store(store: Store) -> None:
    """Names that mean other directories, or are too long for one, are neither."""
    inside = store.root / "files"
    for name in (".", "..", "x" * 256, "a.b"):
        path = store.files(name, "artifact", name, "a")
        assert inside in Path(os.path.normpath(path)).parents
        assert all(len(part) < 256 for part in path.parts)
        assert 4 == len(path.relative_to(inside).parts)

    names = {store.files("p", "artifact", "x" * n, "a") for n in (254, 255, 256)}
    assert 3 == len(names)


# ---- Where it is ---------------------------------------------------------------------


def test_directory_is_for_the_user_alone(tmp_path: Path) -> None:
    """The directory is 0700 and the file 0600, also where others made it wider."""
    root = tmp_path / "wide"
    root.mkdir(mode=0o755)

    store = Store.open(root)

    assert 0o700 == root.stat().st_mode & 0o777
    assert 0o600 == (store.root / "store.db").stat().st_mode & 0o777


def test_store_is_the_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The argument, then PYBRIDGE_FUNCTIONS, then the settings, then XDG_DATA_HOME."""
    settings = tmp_path / "pybridge.toml"
    settings.write_text(f"[functions]\nstore = '{tmp_path / 'c'}'\n")
    monkeypatch.setenv("PYBRIDGE_FUNCTIONS", str(tmp_path / "b"))
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(settings))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))

    assert tmp_path / "a" == Store.open(tmp_path / "a").root
    assert tmp_path / "b" == Store.open().root
    monkeypatch.delenv("PYBRIDGE_FUNCTIONS")
    assert tmp_path / "c" == Store.open().root
    settings.write_text("")
    assert tmp_path / "d/pybridge/functions" == Store.open().root


def test_durability_of_the_settings_is_sqlites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`power` waits for the disk at each commit; a word that is neither is refused."""
    settings = tmp_path / "pybridge.toml"
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(settings))

    def level(word: str) -> int:
        settings.write_text(f"[functions]\ndurability = '{word}'\n")
        with Store.open(tmp_path / word).using() as connection:
            return int(connection.execute("pragma synchronous").fetchone()[0])

    assert 1 == level("process")
    assert 2 == level("power")
    with pytest.raises(BadArgument, match=r"durability 'no' in .functions. is neither"):
        level("no")


def test_store_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    """A file in the place of the directory is told, with the way out."""
    (tmp_path / "file").write_text("")

    with pytest.raises(BadArgument, match=r"cannot be made .*PYBRIDGE_FUNCTIONS"):
        Store.open(tmp_path / "file")


def test_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """A database that is not ours, and what is no database, are refused unchanged."""
    other, text = tmp_path / "other", tmp_path / "text"
    other.mkdir()
    text.mkdir()
    with sqlite3.connect(other / "store.db") as connection:
        connection.execute("create table theirs (x)")
    connection.close()
    (text / "store.db").write_bytes(b"no database at all" * 100)
    before = (other / "store.db").read_bytes()

    with pytest.raises(BadArgument, match="is a database of something else"):
        Store.open(other)
    with pytest.raises(BadArgument, match="is damaged, or not a store"):
        Store.open(text)

    assert before == (other / "store.db").read_bytes()


def test_store_of_a_later_version_is_refused(store: Store) -> None:
    """An older program does not write into what it does not know."""
    store.close()
    with sqlite3.connect(store.root / "store.db") as connection:
        connection.execute("pragma user_version = 99")
    connection.close()

    with pytest.raises(BadArgument, match=r"later version of pybridge \(99"):
        Store.open(store.root)


def test_damaged_store_is_an_error_that_says_so(store: Store) -> None:
    """A file whose middle was overwritten is told to be damaged."""
    for number in range(200):
        store.create(entry(f"f{number}", spec={"filling": "x" * 500}))
    store.close()
    path = store.root / "store.db"
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))

    with pytest.raises(BadArgument, match="is damaged"):
        store.find("p", "function")


def test_directory_that_was_deleted_is_made_again(store: Store) -> None:
    """What is acknowledged is in the directory, not in a file that nobody can find."""
    store.create(entry("a"))
    shutil.rmtree(store.root)

    store.create(entry("b"))

    assert ["b"] == [one["name"] for one in store.find("p", "function")]
    assert (store.root / "store.db").exists()


# ---- Several at once -----------------------------------------------------------------


def test_store_that_another_process_makes_meanwhile_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes that open a new store at once find the one that was made first."""
    root = tmp_path / "new"

    class Late(sqlite3.Connection):
        """The second process: between two of its looks the first one makes the file."""

        def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
            if (sql == "begin" or "sqlite_schema" in sql) and not made:
                made.append(Store(root))
                made[0].projects()
            return super().execute(sql, *given)

    made: list[Store] = []
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *a, **k: connect(*a, factory=Late, **k)
    )

    late = Store(root)

    assert [] == late.projects()
    late.close()
    made[0].close()


def test_four_processes_write_at_once(store: Store) -> None:
    """§1 Store: several processes at once; nothing is lost, nothing is refused."""
    store.create(entry("counter", uuid="counter", spec={"n": 0}))
    code = (
        "key = 'store://p/function/python/counter:counter'\n"
        "def more(entity): entity['spec']['n'] += 1\n"
        "for number in range(50):\n"
        "    store.create(draft('function', 'python', project='p',\n"
        "                       name=f'f{sys.argv[1]}-{number}', spec={}))\n"
        "    store.change(key, more)\n"
    )

    children = [child(store, code, str(number)) for number in range(4)]
    ends = [one.communicate(timeout=60) for one in children]

    assert [("", "")] * 4 == ends
    counter = store.get("store://p/function/python/counter")
    assert counter is not None
    assert 200 == counter["spec"]["n"]
    assert 201 == len(store.find("p", "function"))


def test_threads_of_a_process_write_at_once(store: Store) -> None:
    """Threads take turns, and each one's transaction is its own."""
    store.create(entry("counter", uuid="counter", spec={"n": 0}))

    def more(entity: dict[str, Any]) -> None:
        entity["spec"]["n"] += 1

    def work() -> None:
        for _ in range(50):
            store.change("store://p/function/python/counter:counter", more)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    counter = store.get("store://p/function/python/counter")
    assert counter is not None
    assert 200 == counter["spec"]["n"]


def test_kill_loses_nothing_that_was_acknowledged(store: Store) -> None:
    """§9.26: `kill -9` among writes: all that was acknowledged is there, and whole."""
    code = (
        "number = 0\n"
        "while True:\n"
        "    store.create(draft('function', 'python', project='p', name=f'f{number}',\n"
        "                       spec={'filling': 'x' * 2000}))\n"
        "    print(number, flush=True)\n"
        "    number += 1\n"
    )
    for killed_at in (0, 7, 60):
        store.delete("store://p")
        with child(store, code) as writer:
            assert writer.stdout is not None
            told = [int(writer.stdout.readline()) for _ in range(killed_at + 1)]
            writer.send_signal(signal.SIGKILL)
            told += [int(line) for line in writer.stdout.read().split("\n")[:-1]]

        found = store.find("p", "function")

        assert [f"f{n}" for n in told] == [one["name"] for one in found][: len(told)]
        assert len(found) <= len(told) + 1
        assert all(2000 == len(one["spec"]["filling"]) for one in found)


def test_full_disk_is_an_error_that_says_so(store: Store) -> None:
    """A write that has no room fails, keeps nothing, and the store goes on."""
    code = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "size = os.path.getsize(store.root / 'store.db') + 200_000\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))\n"
        "made = 0\n"
        "try:\n"
        "    for number in range(100):\n"
        "        store.create(draft('function', 'python', project='p',\n"
        "                     name=f'f{number}', spec={'filling': 'x' * 20_000}))\n"
        "        made += 1\n"
        "except Exception as exc:\n"
        "    print(type(exc).__name__, exc)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
        "store.create(draft('function', 'python', project='p', name='last', spec={}))\n"
        "print(made)\n"
    )

    out, err = child(store, code).communicate(timeout=60)

    assert "" == err
    told, made = out.splitlines()
    assert told.startswith("HostError the disk ")
    assert "full" in told
    names = [one["name"] for one in store.find("p", "function")]
    assert [*(f"f{number}" for number in range(int(made))), "last"] == names


def test_store_goes_on_in_both_halves_of_a_fork(store: Store) -> None:
    """A fork, also while other threads write, leaves both sides a store that works."""
    store.create(entry("counter", uuid="counter", spec={"n": 0}))
    key = "store://p/function/python/counter:counter"

    def more(entity: dict[str, Any]) -> None:
        entity["spec"]["n"] += 1

    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            store.change(key, lambda entity: entity.update())
            time.sleep(0.001)  # or the others would wait for this one most of the time

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(8):
            with warnings.catch_warnings():
                # Python 3.12 warns of what is under test: threads, and a fork.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
            if pid == 0:
                try:
                    for _ in range(5):
                        store.change(key, more)
                    os._exit(0)
                except BaseException:
                    os._exit(1)
            store.change(key, more)
            assert 0 == os.waitpid(pid, 0)[1]
    finally:
        over.set()
        thread.join()

    counter = store.get(key)
    assert counter is not None
    assert 48 == counter["spec"]["n"]


def test_other_error_of_sqlite_is_the_hosts(store: Store) -> None:
    """What SQLite refuses for other reasons is told with the file's name."""
    with store.using() as connection:
        connection.execute("pragma query_only = 1")

    with pytest.raises(HostError, match=r"the store '.*store.db' failed: .*readonly"):
        store.create(entry())

    store.close()
    store.create(entry())
    assert 1 == len(store.find("p", "function"))


# ---- Secrets -------------------------------------------------------------------------


def test_secret_is_kept_by_project_and_name(store: Store) -> None:
    """A value is read where it was set, and nowhere else."""
    store.set_secret("p", "s", "one")
    store.set_secret("p", "s", "two")

    assert "two" == store.secret("p", "s")
    assert store.secret("q", "s") is None
    assert store.delete_secret("p", "s")
    assert not store.delete_secret("p", "s")
