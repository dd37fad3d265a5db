"""Health: what the doctor says of functions; it looks only, and makes nothing."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import pybridge
from pybridge._programs import said
from pybridge.errors import BadArgument, BridgeError, HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pybridge.doctor import Examination
    from pybridge.functions.store import Store

__all__ = ["examine", "kind_of_disk"]

_ELSEWHERE = {"nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "fuse.sshfs"}
_LITTLE = 64 << 20  # bytes of room below which a disk is as good as full
_PATIENCE = 5  # seconds that a manager has to answer
_MANAGER = "manager"
_STORE = "functions"


def examine(examination: Examination) -> None:
    """Look at the store, its manager, and the programs that runs need."""
    from pybridge.functions import extras

    try:
        extras.models()
    except HostError:
        cure = "to run them: pip install 'pybridge[functions]'"
        examination.note("functions", "packages that they need are missing", cure)
        return
    _examine_settings(examination)
    _examine_store(examination)
    _examine_programs(examination)


def _examine_settings(examination: Examination) -> None:
    from pybridge import settings
    from pybridge.functions.manager.policy import Policy

    try:
        Policy.from_settings()
    except BadArgument as exc:
        cure = f"correct it in '{settings.find()}'"
        examination.wrong("[functions]", str(exc), cure)


# ---- The store -----------------------------------------------------------------------


def _examine_store(examination: Examination) -> None:
    from pybridge.functions.store import VARIABLE, Store, place

    root = place()
    elsewhere = f"name another directory in {VARIABLE}"
    if not (root / "store.db").exists():
        examination.ok(_STORE, f"none yet; the first project makes it in {root}")
        return
    if not os.access(root, os.W_OK | os.X_OK):
        examination.wrong(_STORE, f"'{root}' cannot be written to", elsewhere)
        return
    kind = kind_of_disk(root)
    if kind in _ELSEWHERE:
        told = f"'{root}' is on a disk of another machine ({kind}), where it can break"
        examination.wrong(_STORE, told, f"{elsewhere}, on a disk of this one")
    try:
        store = Store.open(root)
        with store.using() as connection:
            (version,) = connection.execute("pragma user_version").fetchone()
        states = store.run_states()
    except BridgeError as exc:
        examination.wrong(_STORE, str(exc), elsewhere)
        return
    runs = ", ".join(f"{n} {state}" for state, n in states.items()) or "none"
    size = _megabytes(_size(root))
    examination.ok(_STORE, f"{root}, {size}, version {version}; runs: {runs}")
    _examine_room(examination, root)
    if root.stat().st_mode & 0o077:
        told = f"others can look into '{root}', where secrets are"
        examination.wrong(_STORE, told, f"chmod 700 '{root}'")
    _examine_manager(examination, store)
    _examine_leftovers(examination, root)


def _examine_room(examination: Examination, root: Path) -> None:
    left = shutil.disk_usage(root).free
    if left < _LITTLE:
        told = f"{_megabytes(left)} are left on its disk"
        cure = f"make room; '{root / 'cache'}' can be deleted while nothing runs"
        examination.wrong(_STORE, told, cure)


def kind_of_disk(path: Path) -> str:
    """Return the kind of file system that a directory is on; "" where not known."""
    best, kind = "", ""
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    for line in lines:
        _, mount, found, *_ = line.split(" ")
        mount = mount.replace("\\040", " ")
        inside = f"{path.resolve()}/".startswith(f"{mount.rstrip('/')}/")
        if inside and len(mount) >= len(best):
            best, kind = mount, found
    return kind


def _size(root: Path) -> int:
    """Return what a directory takes on its disk, with all that is in it."""
    return sum(path.lstat().st_blocks * 512 for path in _files(root))


def _files(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_symlink() or path.exists():  # it may just have gone
                yield path


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"


def _examine_leftovers(examination: Examination, root: Path) -> None:
    """Look for environments that nobody goes on making."""
    folder = root / "cache" / "environments"
    if not folder.is_dir():
        return
    half = [
        path
        for path in folder.iterdir()
        if path.is_dir()
        and not (path / "environment.json").exists()
        and not _is_locked(path.with_suffix(".lock"))
    ]
    if half:
        words = " ".join(f"'{path}'" for path in half)
        told = f"{len(half)} that were begun and not finished, of no use"
        examination.note("environments", told, f"rm -r {words}")


def _is_locked(path: Path) -> bool:
    """Tell whether another process holds a lock."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


# ---- The manager ---------------------------------------------------------------------


def _examine_manager(examination: Examination, store: Store) -> None:
    from pybridge.functions.manager import client

    folder = store.root / "manager"
    if not folder.is_dir():
        examination.ok(_MANAGER, "none; the first run starts it")
        return
    pid = _number_in(folder / "lock")
    its = client.of(store)
    try:
        told = its.ask("info", _PATIENCE) if its.is_there() else None
    except HostError as exc:
        examination.wrong(_MANAGER, str(exc), f"see '{folder / 'log'}'")
        return
    if told is not None:
        _examine_answer(examination, told, folder)
    elif not _is_locked(folder / "lock"):
        examination.ok(_MANAGER, "none; the next run starts it")
    else:
        found = f"process {pid} leads the store, and does not answer"
        examination.wrong(
            _MANAGER, found, f"kill -9 {pid}; the next run starts another"
        )


def _examine_answer(
    examination: Examination, told: dict[str, Any], folder: Path
) -> None:
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(told["began"]))
    words = (
        f"process {told['pid']} since {since}, at {folder / 'socket'}; "
        f"{len(told['running'])} of {told['places']} places taken, "
        f"{told['waiting']} waiting"
    )
    version = told.get("version")
    if version == pybridge.__version__:
        examination.ok(_MANAGER, words)
        return
    found = f"{words}; it is of pybridge {version}, this is {pybridge.__version__}"
    cure = f"kill {told['pid']} while no job runs; the next run starts another"
    examination.note(_MANAGER, found, cure)


def _number_in(path: Path) -> Optional[int]:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


# ---- Programs ------------------------------------------------------------------------


def _examine_programs(examination: Examination) -> None:
    from pybridge.functions import pythons, uv

    try:
        program = uv.program()
        examination.ok("uv", f"{_version_of(program)}, {program}")
    except BridgeError as exc:
        cure = "to have packages and other Pythons: pip install 'pybridge[functions]'"
        examination.note("uv", str(exc), cure)
    git = shutil.which("git")
    if git is not None:
        examination.ok("git", f"{_version_of(git)}, {git}")
    else:
        found = "not on PATH; sources in git are fetched by dulwich"
        examination.note("git", found, "apt-get install git")
    versions = ", ".join(pythons.installed())
    examination.ok("Pythons", versions or "this one only")


def _version_of(program: str) -> str:
    """Return what a program says of its version."""
    return said([program, "--version"]) or "of a version it does not tell"
