"""The process of a container: a run that comes as a file, in a store of its own.

python -m pybridge.functions.container --spec run.json --store DIRECTORY

The function runs in a child of it. What that writes goes on without secrets, signals go
to it, and what became of the run is told at the end: in a line of the output, for who
reads logs, and in short in Kubernetes' file for last words.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import select
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NoReturn, Optional

from pybridge.functions import keys, states
from pybridge.functions.store import Store, enter, now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pybridge.functions.manager.output import Masker

__all__ = ["LINE", "SPEC", "STORE", "main", "portable", "report", "take", "unpack"]

LINE = "pybridge.status "  # what the line begins with that tells the end
SPEC = "/pybridge/config/run.json"
STORE = "/pybridge/run/store"
IMAGE = "/opt/pybridge"  # where an image that was built has the runtime
_HERE = "store:"  # what the path of a file begins with that is in the store
_FILES = 512 << 10  # bytes of outputs that are told with the end
_LAST_WORDS = "/dev/termination-log"
_WORDS = 4000  # bytes of those that Kubernetes keeps
_CHUNK = 1 << 16
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run what the file says; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pybridge.functions.container", description="Run in a container."
    )
    parser.add_argument("--spec", default=SPEC, help="the file with the run")
    parser.add_argument("--store", default=STORE, help="a directory for its store")
    parser.add_argument("--port", type=int, default=8080, help="of a service")
    parser.add_argument("--host", default="0.0.0.0", help="of a service")  # noqa: S104 - its pod's
    parser.add_argument("--new", action="store_true", help="a run of its own each time")
    parser.add_argument("--last-words", default=_LAST_WORDS)
    given = parser.parse_args(argv)
    store = Store.open(given.store)
    os.environ["PYBRIDGE_FUNCTIONS"] = str(store.root)
    bundle = json.loads(Path(given.spec).read_text(encoding="utf-8"))
    secrets = _secrets(bundle, store)
    run = take(bundle, store, Path(given.spec).parent, fresh=given.new)
    role = _role(run, store, given)
    status = _supervise(role, list(secrets.values()))
    entity = _settled(store, run["key"], status)
    told = report(store, entity, bundle.get("outputs"))
    sys.stdout.write(f"\n{LINE}{json.dumps(told, separators=(',', ':'))}\n")
    sys.stdout.flush()
    _say_last(given.last_words, told)
    return 0 if entity["status"]["state"] in {"COMPLETED", "STOPPED"} else 1


# ---- The run -------------------------------------------------------------------------


def take(
    bundle: Mapping[str, Any], store: Store, folder: Path, *, fresh: bool = False
) -> dict[str, Any]:
    """Put the run, and what it refers to, into a store; return the run."""
    unpack(bundle["entities"], bundle.get("files") or {}, store)
    pack = bundle.get("pack")
    if pack:
        places = [folder / pack, Path(IMAGE, "sources", pack)]
        found = next((one for one in places if one.is_file()), places[0])
        _put(store.root / "sources" / pack, found.read_bytes())
    run: dict[str, Any] = bundle["run"]
    if fresh:
        run["id"] = keys.new_id()
        parsed = keys.parse(run["key"])
        run["key"] = str(keys.Key(parsed.project, "run", parsed.kind, "", run["id"]))
    before = store.get(run["key"])
    attempts = (before or {"status": {}})["status"].get("attempts") or []
    run["status"] = {"owner": states.owner("container"), "attempts": attempts}
    for state in ("CREATED", "BUILT", "READY"):
        enter(run["status"], state)
    store.put(run)
    return run


def unpack(
    entities: Sequence[dict[str, Any]], contents: Mapping[str, str], store: Store
) -> None:
    """Put entities, and their files, into a store."""
    for one in entities:
        entity = {**one, "spec": dict(one["spec"])}
        path = str(entity["spec"].get("path") or "")
        if path.startswith(_HERE):
            entity["spec"]["path"] = str(store.root / path[len(_HERE) :])
        store.put(entity)
    for name, content in contents.items():
        place = (store.root / name).resolve()
        if (store.root / "files").resolve() in place.parents:
            _put(place, base64.b64decode(content))


def portable(
    entity: Mapping[str, Any],
    store: Store,
    contents: dict[str, str],
    room: Optional[int] = None,
) -> dict[str, Any]:
    """Return an entity for another store; its files go to `contents`, in base64.

    Where they are more than `room`, they stay where they are, and so does its path.
    """
    parsed = keys.parse(entity["key"])
    folder = store.files(parsed.project, parsed.type, parsed.name, parsed.id)
    spec = dict(entity.get("spec") or {})
    made = {**entity, "spec": spec}
    path = str(spec.get("path") or folder)
    if "://" in path and not path.startswith("file://"):
        return made
    from pybridge.functions.files import local

    place = local(path)
    found = _files_of(place)
    if room is not None and sum(one.stat().st_size for one in found) > room:
        return made
    base = place if place.is_dir() else place.parent
    inside = folder.relative_to(store.root).as_posix()
    for one in found:
        name = f"{inside}/{one.relative_to(base).as_posix()}"
        contents[name] = base64.b64encode(one.read_bytes()).decode()
    within = "" if place.is_dir() else f"/{place.name}"
    spec["path"] = f"{_HERE}{inside}{within}"
    return made


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _secrets(bundle: Mapping[str, Any], store: Store) -> dict[str, str]:
    """Put the values of secrets, which come as variables, where runs look for them."""
    found = {}
    project = bundle["run"]["project"]
    for name, variable in (bundle.get("secrets") or {}).items():
        value = os.environ.get(variable)
        if variable != name:  # it is for us, and not for the function
            os.environ.pop(variable, None)
        if value is not None:
            found[name] = value
            store.set_secret(project, name, value)
    return found


def _role(
    run: dict[str, Any], store: Store, given: argparse.Namespace
) -> Callable[[], int]:
    """Return what the child is to do."""
    words = ["--store", str(store.root), "--run", run["key"]]
    attempt = len(run["status"]["attempts"]) + 1
    if run["spec"].get("action") == "serve":
        words += ["--host", given.host, "--port", str(given.port), "--replicas", "1"]
        if not run["spec"].get("token"):
            words.append("--insecure")  # who reaches the pod, the cluster decides

        def serve() -> int:
            from pybridge.functions import serve as served

            return served.main(words)

        return serve

    def job() -> int:
        from pybridge.functions import worker
        from pybridge.functions.run import Run

        worker.heed()
        work = store.run_directory(run["id"]) / "work"
        work.mkdir(exist_ok=True)
        os.chdir(work)
        entity = store.get(run["key"])
        assert entity is not None  # noqa: S101 - it was put there
        done = worker.Attempt(Run(entity, store), attempt=attempt, last=True).go()
        return 0 if done else 1

    return job


# ---- The child -----------------------------------------------------------------------


def _supervise(role: Callable[[], int], secrets: Sequence[str]) -> int:
    """Run a role in a child, and show what it writes; return how it ended."""
    source, sink = os.pipe()
    woken, waker = os.pipe2(os.O_NONBLOCK)
    sys.stdout.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)  # until there is a child
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in (source, woken, waker):
            os.close(end)
        _be(role, sink)
    os.close(sink)
    for number in _PASSED_ON:
        signal.signal(number, lambda number, _: _pass_on(child, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    try:
        return _shown(child, source, woken, secrets)
    finally:
        for number in _PASSED_ON:
            signal.signal(number, signal.SIG_IGN)  # its last words are short
        signal.set_wakeup_fd(-1)
        for end in (source, woken, waker):
            os.close(end)


def _be(role: Callable[[], int], sink: int) -> NoReturn:
    """Be the child: do what its role is, with all that it writes going to a pipe."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    os.close(sink)
    for name in ("stdout", "stderr"):  # the old ones may be of a file
        number = getattr(sys, name).fileno()
        new = open(number, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115
        setattr(sys, name, new)
    code = 1
    try:
        code = role()
    except BaseException:  # the log is the only one who can be told
        traceback.print_exc()
    finally:
        _flush()
        os._exit(code)


def _shown(child: int, source: int, woken: int, secrets: Sequence[str]) -> int:
    """Show what a child writes until its end, and return how that was.

    What it has started may hold the pipe for ever: the end of the child counts.
    """
    from pybridge.functions.manager.output import Masker

    masker = Masker(secrets)
    os.set_blocking(source, False)
    poll = select.poll()
    poll.register(source, select.POLLIN)
    poll.register(woken, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == woken:
                os.read(woken, _CHUNK)
            elif not _copied(source, masker):
                poll.unregister(source)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            _copied(source, masker)
            _show(masker.flush())
            return status


def _copied(source: int, masker: Masker) -> bool:
    """Show all that is in a pipe; False where nothing more can come."""
    while True:
        try:
            data = os.read(source, _CHUNK)
        except BlockingIOError:
            return True
        if not data:
            return False
        _show(masker.feed(data))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def _pass_on(child: int, number: int) -> None:
    try:
        os.kill(child, number)
    except ProcessLookupError:
        return


def _show(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


# ---- The end -------------------------------------------------------------------------


def _settled(store: Store, key: str, status: int) -> dict[str, Any]:
    """Return the run as it ended; in ERROR where its process did not say so itself."""
    from pybridge.functions import processes
    from pybridge.functions.manager import outcome

    entity = store.get(key)
    assert entity is not None  # noqa: S101 - it was put there
    if states.is_final(entity["status"]["state"]):
        return entity
    told = f"the process of the run {processes.describe_exit(status)}"
    service = entity["spec"].get("action") == "serve"
    if service and os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
        store.move(key, "STOP")
        store.move(key, "STOPPED")
    else:
        attempt = len(entity["status"].get("attempts") or ()) + 1
        error = outcome.failure("ProcessDied", told, "execute", attempt)
        store.move(key, "ERROR", message=outcome.line(error), error=error)
    return store.get(key) or entity


def report(
    store: Store, entity: Mapping[str, Any], outputs: Optional[str] = None
) -> dict[str, Any]:
    """Return what is told of a run at its end: its status, and what it has made.

    Files of outputs are told with it as far as there is room, and others are put where
    `outputs` says. What then is in the pod alone is told too: it goes with the pod.
    """
    status = {
        name: value
        for name, value in entity["status"].items()
        if name not in {"owner", "transitions", "service", "engine"}
    }
    entities: list[dict[str, Any]] = []
    files: dict[str, str] = {}
    room = _FILES
    warnings = [status["message"]] if status.get("message") else []
    for name, key in (status.get("outputs") or {}).items():
        made = store.get(key)
        if made is not None:
            contents: dict[str, str] = {}
            moved = portable(made, store, contents, room)
            if str(moved["spec"].get("path") or "").startswith(f"{store.root}/"):
                moved, warning = _placed(moved, name, outputs)
                warnings += warning
            entities.append(moved)
            room -= sum(len(one) * 3 // 4 for one in contents.values())
            files.update(contents)
    if warnings:
        status["message"] = "; ".join(warnings)
    return {
        "run": entity["id"],
        "time": now(),
        "status": status,
        "entities": entities,
        "files": files,
        "relationships": (entity["metadata"] or {}).get("relationships") or [],
    }


def _placed(
    entity: dict[str, Any], name: str, outputs: Optional[str]
) -> tuple[dict[str, Any], list[str]]:
    """Put the files of an output where it can be had, or say what became of them."""
    from pybridge.functions.files import local, store

    place = local(entity["spec"]["path"])
    size = sum(one.stat().st_size for one in _files_of(place))
    told = f"output '{name}' of {size / (1 << 20):.1f} MiB stays in its pod, where it"
    told += " is lost: "
    if outputs is None:
        cure = "name a place for such in [functions.kubernetes] outputs, or a path"
        return entity, [f"{told}{cure} when it is logged"]
    parsed = keys.parse(entity["key"])
    folder = [parsed.project, parsed.type, parsed.name, parsed.id]
    target = "/".join([outputs.rstrip("/"), *folder, place.name])
    try:
        store(place, target)
    except Exception as exc:  # whatever a file system of others raises
        return entity, [f"{told}'{target}' cannot be written: {exc}"]
    return {**entity, "spec": {**entity["spec"], "path": target}}, []


def _files_of(place: Path) -> list[Path]:
    """Return the files at a path: itself, or those in it."""
    if place.is_dir():
        return sorted(path for path in place.rglob("*") if path.is_file())
    return [place] if place.is_file() else []


def _say_last(path: str, told: Mapping[str, Any]) -> None:
    """Write state and error where Kubernetes looks for last words."""
    status = told["status"]
    error = status.get("error") or {}
    words = {
        "state": status["state"],
        "message": str(status.get("message") or "")[: _WORDS // 4],
        "type": error.get("type"),
        "stage": error.get("stage"),
        "attempt": error.get("attempt"),
    }
    try:
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC)  # where there is none: no new one
        try:
            os.write(fd, json.dumps(words).encode()[:_WORDS])
        finally:
            os.close(fd)
    except OSError:  # there is none, or it is not ours
        return


if __name__ == "__main__":
    sys.exit(main())
