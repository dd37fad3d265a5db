"""The session's life: its start, its crashes, its end, and whose it is."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from pybridge.zpy import place, wire
from tests.programs import ROOT
from tests.zpy.conftest import until

if TYPE_CHECKING:
    from tests.zpy.conftest import Zpy

_NOBODY = 65534


def keeper_of(zpy: Zpy) -> int:
    """Return the process that holds the socket."""
    return int(psutil.Process(zpy.session()["pid"]).ppid())


# ---- Several at once ----------------------------------------------------------------


def test_racing_first_calls_start_one_session(zpy: Zpy) -> None:
    """However many come first, one process serves them all, one after the other."""
    code = "import os; n = globals().get('n', 0) + 1; print(os.getpid())"
    calls = [zpy.start(code) for _ in range(6)]

    said = [call.communicate() for call in calls]

    assert 1 == len({out for out, _ in said})
    assert {""} == {err for _, err in said}
    assert "6\n" == zpy.says("n")


def test_second_call_waits_for_the_first(zpy: Zpy) -> None:
    """Two terminals at once are served in turn."""
    zpy.says("import time; log = []")
    first = zpy.start(
        "log.append(1); print(flush=True); time.sleep(0.3); log.append(2)"
    )
    assert first.stdout is not None
    first.stdout.readline()

    second = zpy.start("log.append(3)")
    first.communicate()
    second.communicate()

    assert "[1, 2, 3]\n" == zpy.says("log")


def test_list_tells_what_runs(zpy: Zpy) -> None:
    """A busy session answers the list, with the code that it is busy with."""
    call = zpy.start("import time; print(flush=True)\ntime.sleep(60)")
    assert call.stdout is not None
    call.stdout.readline()

    found = zpy.session()
    call.send_signal(signal.SIGINT)
    call.communicate()

    assert ("busy", call.pid) == (found["state"], found["client"])
    assert "import time; print(flush=True) time.sleep(60)" == found["code"]
    assert "idle" == zpy.session()["state"]


def test_many_calls_leave_nothing_behind(zpy: Zpy) -> None:
    """After 50 calls there are as many descriptors as before, and no zombies."""
    zpy.says("1")
    processes = [psutil.Process(zpy.session()["pid"]), psutil.Process(keeper_of(zpy))]
    before = [process.num_fds() for process in processes]

    for number in range(50):
        zpy("1/0" if number % 2 else "1")

    after = [process.num_fds() for process in processes]
    assert all(n <= m for n, m in zip(after, before, strict=True)), (before, after)
    assert [[processes[0]], []] == [process.children() for process in processes[::-1]]


# ---- Interrupts and crashes ---------------------------------------------------------


def test_killed_client_frees_the_session(zpy: Zpy) -> None:
    """What a client asked for stops with it, and the state is still there."""
    zpy.says("import time; x = 1")
    call = zpy.start("print(flush=True)\nwhile True: time.sleep(0.01)")
    assert call.stdout is not None
    call.stdout.readline()

    call.kill()
    call.communicate()

    assert "1\n" == zpy.says("x")


@pytest.mark.parametrize(
    ("code", "exit_code", "words"),
    [
        ("import os; os._exit(3)", 3, "ended with exit status 3"),
        ("import os; os.kill(os.getpid(), 9)", 137, "was ended by signal 9 (SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", 139, "was ended by signal 11 (SIGSEGV"),
    ],
)
def test_crash_is_reported_and_the_session_starts_anew(
    code: str, exit_code: int, words: str, zpy: Zpy
) -> None:
    """Who crashed it is told how it ended, and so is the next; then all is well."""
    zpy.says("x = 1")

    crashed = zpy(code)
    after = zpy("x")

    assert exit_code == crashed.returncode
    assert f"zpy: session 'main' {words}" in crashed.stderr
    assert f"session 'main' {words}" in after.stderr
    assert "this call starts anew" in after.stderr
    assert "NameError: name 'x' is not defined" in after.stderr
    assert "2\n" == zpy.says("x = 2; x")


def test_fatal_error_shows_the_users_line(zpy: Zpy) -> None:
    """A fault in a C library is shown with where Python was."""
    ended = zpy("import ctypes\nctypes.string_at(0)")

    assert "Fatal Python error: Segmentation fault" in ended.stderr
    assert re.search(r'File "<pybridge:\d+>", line 2 in <module>', ended.stderr)


def test_crash_between_calls_is_reported_with_its_last_words(zpy: Zpy) -> None:
    """A thread may end the process when nobody calls: the next call is told."""
    code = "import threading, os\ndef end():\n    print('the last')\n    os._exit(5)\n"
    zpy.says(code + "threading.Timer(0.1, end).start()")
    until(lambda: "ended with exit status 5" in zpy.log())

    ended = zpy("1")

    assert "zpy: session 'main' ended with exit status 5" in ended.stderr
    assert "zpy:   the last\n" in ended.stderr
    assert "1\n" == ended.stdout


def test_killed_keeper_is_reported(zpy: Zpy) -> None:
    """Even the process that keeps the socket may be killed; the worker goes with it."""
    zpy.says("x = 1")
    worker = psutil.Process(zpy.session()["pid"])
    os.kill(worker.ppid(), signal.SIGKILL)
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)

    ended = zpy("1")

    assert "session 'main' was killed, and what it had is gone" in ended.stderr
    assert "1\n" == ended.stdout
    assert "1\n" == zpy.says("1")


def test_restore_setting_brings_back_what_was_saved(zpy: Zpy) -> None:
    """With restore = true a crash costs what came after the last save only."""
    zpy.settings("[zpy]\nrestore = true\n")
    zpy.says("x = 1")
    assert "saved 1 name" in zpy("--stop", "--keep").stderr

    first = zpy("x")
    zpy("import os; os._exit(1)")
    again = zpy("x")

    assert ("1\n", "1\n") == (first.stdout, again.stdout)
    assert "restored 1 name" in again.stderr


# ---- The end ------------------------------------------------------------------------


def test_stop_ends_both_processes(zpy: Zpy) -> None:
    """Nothing runs afterwards, and no file but lock and log is left."""
    zpy.says("x = 1")

    ended = zpy("--stop", "--discard")

    assert (0, "zpy: session 'main' was stopped\n") == (ended.returncode, ended.stderr)
    until(lambda: not zpy.processes())
    assert ["main.lock"] == [path.name for path in (zpy.runtime / "pybridge").iterdir()]
    assert "session 'main' does not run" in zpy("--stop").stderr


def test_stop_all_ends_every_session(zpy: Zpy) -> None:
    """One command for all of them."""
    zpy.says("1")
    zpy.says("-s", "other", "1")

    ended = zpy("--stop", "--all")

    assert ["main", "other"] == re.findall("session '(.*?)' was stopped", ended.stderr)
    assert [] == zpy.sessions()


def test_stop_interrupts_what_runs(zpy: Zpy) -> None:
    """A session that is busy is stopped too, and its caller sees the interrupt."""
    call = zpy.start("import time; print(flush=True)\ntime.sleep(60)")
    assert call.stdout is not None
    call.stdout.readline()

    ended = zpy("--stop", "--discard")
    _, said = call.communicate()

    assert 0 == ended.returncode
    assert "KeyboardInterrupt" in said
    assert 130 == call.returncode


def test_second_stop_kills_what_does_not_stop(zpy: Zpy) -> None:
    """Code that catches every interrupt ends all the same."""
    call = zpy.start(
        "while True:\n try:\n  print(flush=True)\n  while True: pass\n"
        " except BaseException: pass"
    )
    assert call.stdout is not None
    call.stdout.readline()
    first = zpy.start("--stop", "--discard")
    call.stdout.readline()

    ended = zpy("--stop", "--discard")
    _, said = first.communicate()
    call.communicate()

    assert "did not stop by itself and was killed" in ended.stderr
    assert (ended.stderr, 0, 0) == (said, ended.returncode, first.returncode)


def test_idle_session_ends_and_says_how_to_get_its_state_back(zpy: Zpy) -> None:
    """What was there is saved, and the next start tells the command for it."""
    zpy.settings('[zpy]\nidle = "0.3s"\n')
    zpy.says("x = 41; y = [1]")
    until(lambda: not zpy.processes())

    told = zpy("1").stderr
    command = re.search(r"get it back with: zpy (--restore \d+)", told)
    assert command is not None, told
    zpy("-s", "other", *command[1].split())

    assert "session 'main' ended as nothing was asked of it; saved 2 names" in told
    assert "42\n" == zpy("-s", "other", "x + 1").stdout


def test_what_was_not_saved_is_said_too(zpy: Zpy) -> None:
    """With save = "never" the next start says at least that there was something."""
    zpy.settings('[zpy]\nidle = "0.2s"\nsave = "never"\n')
    zpy.says("x = 1")
    until(lambda: not zpy.processes())

    told = zpy("2")

    assert "ended as nothing was asked of it; what it had was not saved" in told.stderr
    assert "2\n" == told.stdout


def test_session_without_its_files_takes_no_others(zpy: Zpy) -> None:
    """A session whose socket was cleaned away leaves that of the next one alone."""
    zpy.says("x = 1")
    lost = zpy.session()["pid"]
    (zpy.runtime / "pybridge" / "main.sock").unlink()
    zpy.says("x = 2")

    os.kill(lost, signal.SIGTERM)
    until(lambda: not psutil.pid_exists(lost))

    assert "2\n" == zpy.says("x")


def test_working_thread_keeps_a_session(zpy: Zpy) -> None:
    """While a thread works that Python would wait for, a session is not idle."""
    zpy.settings('[zpy]\nidle = "0.2s"\nsave = "never"\n')
    zpy.says("import threading; go = threading.Event()")
    zpy.says("threading.Thread(target=go.wait).start()")

    time.sleep(0.7)

    assert "True\n" == zpy.says("not go.is_set()")
    zpy.says("go.set()")
    until(lambda: not zpy.processes())


@pytest.mark.parametrize("which", ["worker", "keeper"])
def test_sigterm_saves_first(which: str, zpy: Zpy) -> None:
    """A system that shuts down gives the state a chance, whichever process it asks."""
    zpy.says("x = 5")
    pid = zpy.session()["pid"] if which == "worker" else keeper_of(zpy)

    os.kill(pid, signal.SIGTERM)
    until(lambda: not zpy.processes())
    told = zpy("--restore", "zpy-main").stderr

    assert "session 'main' was told to end; saved 1 name" in told
    assert "5\n" == zpy.says("x")


def test_ends_keep_the_last_three_snapshots(zpy: Zpy) -> None:
    """What is saved by itself does not pile up; what the user saved stays."""
    zpy.says("x = 0")
    zpy.says("--save", "zpy-main")
    for number in range(4):
        zpy.says(f"x = {number}")
        zpy("--stop", "--keep")

    code = "from pybridge import snapshot; [c.id for c in snapshot.contexts()]"
    found = json.loads(zpy("--json", code).stdout)

    assert [1, 3, 4, 5] == sorted(found)


def test_save_and_restore_are_options(zpy: Zpy) -> None:
    """A context is saved under a name and comes back in another session."""
    zpy.says("def f(n): return n + 1")

    saved = zpy.says("--save", "mine")
    restored = zpy.says("-s", "other", "--restore", "mine")

    assert saved.startswith("saved 1 name")
    assert restored.startswith("restored 1 name")
    assert "3\n" == zpy.says("-s", "other", "f(2)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('idle = "soon"', "idle is a time such as"),
        ('save = "maybe"', "save is one of ask, always, never, not 'maybe'"),
        ("restore = 1", "restore is true or false, not 1"),
        ("idel = 1", r"has no 'idel'; there are idle, save, restore, show"),
    ],
)
def test_wrong_settings_start_no_session(text: str, message: str, zpy: Zpy) -> None:
    """A mistake in the file is said before anything depends on it."""
    zpy.settings(f"[zpy]\n{text}\n")

    ended = zpy("1")

    assert 1 == ended.returncode
    assert message in ended.stderr
    assert [] == zpy.processes()


# ---- Whose it is --------------------------------------------------------------------


def mode_of(path: Path) -> int:
    """Return the permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def test_files_are_the_users_alone(zpy: Zpy) -> None:
    """Folder 0700; socket, token, lock and log 0600."""
    zpy.says("1")
    folder = zpy.runtime / "pybridge"
    files = [folder / f"main.{end}" for end in ("sock", "token", "lock")]
    files.append(zpy.folder / "state" / "pybridge" / "zpy-main.log")

    assert 0o700 == mode_of(folder)
    assert [0o600] * 4 == [mode_of(path) for path in files]
    assert stat.S_ISSOCK(files[0].stat().st_mode)


def test_folder_that_others_can_enter_is_refused(zpy: Zpy) -> None:
    """A folder that was made for us by somebody else is not used."""
    (zpy.runtime / "pybridge").mkdir(mode=0o755)

    ended = zpy("1")

    assert 1 == ended.returncode
    assert "is not yours alone (owner 0, mode 0755)" in ended.stderr
    assert [] == zpy.processes()


def test_folder_that_is_a_link_is_refused(zpy: Zpy) -> None:
    """A link could lead anywhere."""
    (zpy.folder / "elsewhere").mkdir(mode=0o700)
    (zpy.runtime / "pybridge").symlink_to(zpy.folder / "elsewhere")

    ended = zpy("1")

    assert 1 == ended.returncode
    assert "cannot be the folder of the sessions" in ended.stderr
    assert [] == list((zpy.folder / "elsewhere").iterdir())


def test_runtime_folder_of_somebody_else_is_not_used(zpy: Zpy) -> None:
    """After `su` the variable names another user's folder: then /tmp has ours."""
    os.chown(zpy.runtime, _NOBODY, -1)
    name = f"test-{os.getpid()}"

    shown = zpy.says("-s", name, "1 + 1")
    ended = zpy("-s", name, "--stop", "--discard")
    os.chown(zpy.runtime, 0, -1)

    assert ("2\n", 0) == (shown, ended.returncode)
    assert [] == list(zpy.runtime.iterdir())
    folder = Path(f"/tmp/pybridge-{os.geteuid()}")  # noqa: S108
    (folder / f"{name}.lock").unlink()
    assert 0o700 == mode_of(folder)


def test_long_runtime_folder_works(zpy: Zpy) -> None:
    """A socket's path has 108 bytes at most; the folder's may be longer."""
    long = zpy.folder / ("x" * 120)
    long.mkdir(mode=0o700)
    zpy.env["XDG_RUNTIME_DIR"] = str(long)

    shown = zpy.says("1 + 1")
    zpy("--stop", "--discard")

    assert "2\n" == shown


def ask(zpy: Zpy, token: bytes, version: bytes = b"x") -> list[tuple[bytes, bytes]]:
    """Send a request by hand; return what comes back until the end."""
    got = []
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(zpy.runtime / "pybridge" / "main.sock"))
        fields = (token, version, b"run", b"main", b"", b"", b"print(1)")
        try:
            wire.send(sock, wire.REQUEST, b"\0".join(fields), (0, 1, 2))
            while True:
                got.append(wire.receive(sock)[:2])
        except wire.Gone:
            return got


def test_request_without_the_token_is_refused(zpy: Zpy) -> None:
    """Reaching the socket is not enough."""
    zpy.says("1")
    token = (zpy.runtime / "pybridge" / "main.token").read_bytes()

    assert [] == ask(zpy, token[:-1] + b"-")
    assert "not the session's token" in zpy.log()
    assert [wire.ACCEPTED, wire.NOTE, wire.STARTED, wire.EXIT] == [
        kind for kind, _ in ask(zpy, token)
    ]


def test_another_user_is_refused_by_the_kernels_word(zpy: Zpy) -> None:
    """Even with the folder open and the token known the session answers its user only.

    Run as root, which may become somebody else; the child does nothing but connect.
    """
    zpy.says("1")
    folder = zpy.runtime / "pybridge"
    token = (folder / "main.token").read_bytes()
    for path in (zpy.folder, zpy.runtime, folder):
        path.chmod(0o755)
    (folder / "main.sock").chmod(0o666)

    child = os.fork()
    if child == 0:
        try:
            os.setuid(_NOBODY)
            os._exit(len(ask(zpy, token)))
        finally:
            os._exit(100)
    _, status = os.waitpid(child, 0)
    for path in (zpy.folder, zpy.runtime, folder):
        path.chmod(0o700)

    assert 0 == os.waitstatus_to_exitcode(status)
    assert "another user's" in zpy.log()


def test_socket_of_another_user_is_not_spoken_to(zpy: Zpy) -> None:
    """Whoever listens in a session's place gets neither code nor token."""
    folder = zpy.runtime / "pybridge"
    folder.mkdir(mode=0o700)
    os.chown(folder, _NOBODY, -1)
    child = os.fork()
    if child == 0:
        try:
            for path in (zpy.folder, zpy.runtime):
                path.chmod(0o755)
            os.setuid(_NOBODY)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(folder / "main.sock"))
            listener.listen()
            listener.settimeout(30)
            sock, _ = listener.accept()
            os._exit(len(sock.recv(100)))
        finally:
            os._exit(100)
    until((folder / "main.sock").exists)
    os.chown(folder, 0, -1)

    ended = zpy("1")
    _, status = os.waitpid(child, 0)
    (folder / "main.sock").unlink()

    assert 1 == ended.returncode
    assert "session 'main' is not yours" in ended.stderr
    assert 0 == os.waitstatus_to_exitcode(status)


def test_other_versions_command_is_told(zpy: Zpy) -> None:
    """A command of another environment learns whose Python the session runs."""
    zpy.says("1")
    token = (zpy.runtime / "pybridge" / "main.token").read_bytes()

    notes = [
        words for kind, words in ask(zpy, token, b"9.9 3.99 /x") if kind == wire.NOTE
    ]

    assert 1 == len(notes)
    assert b"not 9.9 3.99 /x; zpy --stop -s main lets the next call" in notes[0]


def test_changed_files_are_told_once(zpy: Zpy) -> None:
    """After an update the session says that it is older than what is installed."""
    copy = zpy.folder / "copy"
    shutil.copytree(
        ROOT / "pybridge",
        copy / "pybridge",
        ignore=shutil.ignore_patterns("*.so", "probe", "include"),
    )
    zpy.env["PYTHONPATH"] = str(copy)
    zpy.says("1")
    os.utime(copy / "pybridge" / "zpy" / "worker.py")

    told, again = zpy("1"), zpy("1")

    assert "the files of pybridge or Python have changed since session" in told.stderr
    assert "1\n" == told.stdout
    assert "" == again.stderr


def test_names_of_sessions_are_checked_in_one_place() -> None:
    """What the command accepts is what a file can be called."""
    assert "a-b_c.1" == place.check_name("a-b_c.1")
    with pytest.raises(place.Refused):
        place.check_name("-x")
