"""The worker of a session: the process in which the code runs and the state lives."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from pybridge import context as contexts
from pybridge import serialization, source, status
from pybridge._words import counted
from pybridge.errors import BadArgument, BridgeError
from pybridge.zpy import wire
from pybridge.zpy.terminal import Terminal

if TYPE_CHECKING:
    import socket
    from types import CodeType

    from pybridge.context import Context
    from pybridge.snapshot import Report

__all__ = ["main"]

_FAILED = 1
_INTERRUPTED = 130
_TOLD_TO_END = 143
_KEPT = 3  # snapshots that were made at the end of sessions of one name


def main(sock: socket.socket, name: str, policy: dict[str, Any]) -> None:
    """Be the worker until the keeper is gone, or says that this is the end."""
    # As in Python's own shell: `__main__` is the user's, and imports begin here.
    contexts.OWNED = True
    sys.argv = [""]
    if not os.environ.get("PYTHONSAFEPATH"):
        sys.path.insert(0, "")
    import faulthandler

    from pybridge import main as _  # noqa: F401  (it is what contexts are begun by)

    worker = Worker(sock, name, policy)
    faulthandler.enable(2)
    signal.signal(signal.SIGTERM, worker.told_to_end)
    signal.signal(signal.SIGINT, _nothing)
    source.share()
    worker.serve()


class _Ended(BaseException):
    """Raised where the worker waits for a call, to end it."""


class Worker:
    """Runs calls, one after the other."""

    def __init__(self, sock: socket.socket, name: str, policy: dict[str, Any]) -> None:
        self.sock = sock
        self.name = name
        self.policy = policy
        self.pid = os.getpid()
        self.terminal = Terminal()
        self.in_call = self.waiting = self.ending = self.begun = False
        # The exit code that a client still has to be given.
        self.answer: int | None = None

    def serve(self) -> None:
        """Serve until the end."""
        try:
            while self.answer is not None or not self.ending:
                try:
                    if self.answer is not None:
                        self._finish(self.answer)
                    elif self._next():
                        return
                except (KeyboardInterrupt, SystemExit):
                    pass  # it came when its call was over
        except (wire.Gone, _Ended):
            pass
        # Nobody has asked: the keeper is gone, or this process was told to end.
        told = self._save() if self.policy["save"] != "never" else ""
        try:
            wire.send(self.sock, wire.ENDED, told.encode())
        except (wire.Gone, OSError):
            self._say(told)

    def told_to_end(self, *_: object) -> None:
        """End: at once where nothing runs, else when what runs has stopped."""
        self.ending = True
        if self.in_call:
            raise SystemExit(_TOLD_TO_END)
        if self.waiting:
            raise _Ended

    def _next(self) -> bool:
        """Wait for what comes next and do it; return whether that was the end."""
        self.waiting = True
        try:
            kind, payload, fds = wire.receive(self.sock)
        finally:
            self.waiting = False
        if kind == wire.REQUEST:
            self._call(payload, fds)
        return kind == wire.END and self._end(payload)

    # ---- Calls ----------------------------------------------------------------------

    def _call(self, payload: bytes, fds: list[int]) -> None:
        action, context, show, folder, text = (
            part.decode("utf-8", "surrogateescape") for part in payload.split(b"\0", 4)
        )
        self.answer = _FAILED
        try:
            self.terminal.take(fds)
            self._begin_call(folder)
            self.answer = self._do(action, context, show, text)
        except KeyboardInterrupt:
            self.answer = _INTERRUPTED
        except SystemExit as exc:
            self.answer = _exit_code(exc)
        except Exception as exc:
            _tell(exc, contexts.get())
        finally:
            if os.getpid() != self.pid:
                # The code has forked, and its child came back here.
                self.terminal.give_back()
                os._exit(self.answer)

    def _finish(self, code: int) -> None:
        """Let go of the terminal, and answer; may be begun again by an interrupt."""
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _nothing)
        self.in_call = False
        if not self.terminal.give_back() and not code:
            code = _FAILED
        told = f"{code}\0{json.dumps(self._names())}"
        self.answer = None
        wire.send(self.sock, wire.EXIT, told.encode())

    def _begin_call(self, folder: str) -> None:
        self.in_call = True
        if signal.getsignal(signal.SIGINT) is _nothing:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if folder:
            try:
                os.chdir(folder)
            except OSError as exc:
                self._note(f"the working directory stays what it was: {exc}")
        if not self.begun:
            self.begun = True
            contexts.get()
            if self.policy["restore"]:
                self._restore_last()

    def _do(self, action: str, context: str, show: str, text: str) -> int:
        """Do what is asked, and return the exit code; errors are said on stderr."""
        at = contexts.get(context)
        try:
            if action == "run":
                _run(text, at, show or self.policy["show"])
            elif action == "file":
                exec(source.compile_file(text), at.namespace)
            elif action == "shell":
                from pybridge import shell

                return shell.interact(context)
            elif action == "save":
                from pybridge import snapshot

                print(_brief(snapshot.save(context, text)))
            elif action == "restore":
                from pybridge import snapshot

                wanted = int(text) if text.isdecimal() else text
                print(_brief(snapshot.restore(wanted, context=context)))
            else:
                raise BadArgument(f"a session cannot '{action}'")
        except SystemExit as exc:
            return _exit_code(exc)
        except BaseException as exc:
            if action != "run" and isinstance(exc, BridgeError) and _is_ours(exc):
                self._note(str(exc))
            else:
                _tell(exc, at)
            return _INTERRUPTED if isinstance(exc, KeyboardInterrupt) else _FAILED
        return 0

    def _note(self, text: str) -> None:
        wire.send(self.sock, wire.NOTE, text.encode("utf-8", "surrogateescape"))

    # ---- What is kept ---------------------------------------------------------------

    def _names(self) -> dict[str, int]:
        """Return how many names of the user's each context has."""
        return {
            name: sum(_is_state(key, value) for key, value in list(space.items()))
            for name, space in (
                (name, contexts.get(name).namespace) for name in contexts.names()
            )
        }

    def _end(self, payload: bytes) -> bool:
        """End, if that is to be; save first where it is said so."""
        asked = payload[1:2] == b"1"
        if not asked and _threads():
            wire.send(self.sock, wire.BUSY)
            return False
        told = self._save() if payload[:1] == b"1" else ""
        wire.send(self.sock, wire.ENDED, told.encode())
        return True

    def _save(self) -> str:
        """Save every context that has something to lose; say what became of it."""
        told = []
        for name, count in self._names().items():
            if not count:
                continue
            try:
                from pybridge import snapshot

                report = snapshot.save(
                    name,
                    self._saved_name(name),
                    description=self._description(name),
                )
                self._delete_old(name)
            except Exception as exc:
                told.append(f"context '{name}' could not be saved: {exc}")
            else:
                told.append(self._how_to_restore(name, report))
        return "; ".join(told)

    def _delete_old(self, context: str) -> None:
        """Keep the last few of what was saved without being asked for."""
        from pybridge import snapshot

        mine = [
            saved.id
            for saved in snapshot.contexts()
            if saved.name == self._saved_name(context)
            and saved.description == self._description(context)
        ]
        for old in sorted(mine)[:-_KEPT]:
            snapshot.delete(old)

    def _description(self, context: str) -> str:
        return f"context '{context}' of zpy session '{self.name}', at its end"

    def _saved_name(self, context: str) -> str:
        own = f"zpy-{self.name}"
        return own if context == contexts.MAIN else f"{own}-{context}"

    def _how_to_restore(self, context: str, report: Report) -> str:
        words = "" if self.name == "main" else f" -s {self.name}"
        words += "" if context == contexts.MAIN else f" -c {context}"
        return f"{_brief(report)}; get it back with: zpy{words} --restore {report.id}"

    def _restore_last(self) -> None:
        """Restore what the session before this one had, where that was saved."""
        from pybridge import snapshot

        wanted = self._saved_name(contexts.MAIN)
        try:
            if any(wanted == saved.name for saved in snapshot.contexts()):
                self._note(_brief(snapshot.restore(wanted, context=contexts.MAIN)))
        except Exception as exc:
            self._note(f"what was saved as '{wanted}' could not be restored: {exc}")

    def _say(self, text: str) -> None:
        if text:
            print(f"zpy {text}", file=sys.stderr, flush=True)


# ---- Running code -------------------------------------------------------------------


def _run(text: str, at: Context, show: str) -> None:
    """Run code, and show the value where it ends in an expression."""
    first: CodeType | None
    last: CodeType | None
    try:
        first, last = source.compile_value(text)
    except BadArgument:
        first, last = source.compile_code(text), None
    if first is not None:
        exec(first, at.namespace)
    if last is not None:
        _show(eval(last, at.namespace), show)


def _show(value: object, show: str) -> None:
    if show == "json":
        print(serialization.dumps(value, "json"))
    elif show == "repr":
        sys.displayhook(value)
    elif value is not None:
        print(value)


def _is_ours(exc: BaseException) -> bool:
    """Has no line of the user's to do with it?"""
    return status.users_part(exc.__traceback__) is None


def _tell(exc: BaseException, at: Context) -> None:
    """Show an exception with the user's own lines, and keep it for `pdb.pm()`."""
    trace = status.users_part(exc.__traceback__)
    status.remember(exc, trace)
    try:
        if sys.excepthook is not sys.__excepthook__:
            sys.excepthook(type(exc), exc, trace)
            return
        status.record(exc, at)
        failure = at.status.failure
        sys.stderr.write(failure.traceback() if failure is not None else "")
    except OSError:
        pass  # nobody reads it
    finally:
        exc.__traceback__ = trace


def _exit_code(exc: SystemExit) -> int:
    if exc.code is None:
        return 0
    if isinstance(exc.code, int):
        return exc.code & 0xFF
    print(exc.code, file=sys.stderr)
    return _FAILED


def _is_state(key: str, value: object) -> bool:
    """Would this be missed? A module would not, and Python's own names neither."""
    return not key.startswith("__") and type(value) is not type(os)


def _threads() -> bool:
    """Does a thread of the user's run that Python itself would wait for?"""
    threading = sys.modules.get("threading")
    return threading is not None and any(
        not thread.daemon and thread is not threading.main_thread()
        for thread in threading.enumerate()
    )


def _brief(report: Report) -> str:
    """Say in one line what was saved or restored."""
    done = report.restored or report.saved
    word = "restored" if report.restored else "saved"
    text = f"{word} {counted(len(done), 'name')}, context {report.id}"
    left = [f"'{entry.name}' ({entry.reason})" for entry in report.skipped]
    return f"{text}, without {', '.join(left)}" if left else text


def _nothing(*_: object) -> None:
    """Take an interrupt that comes when nothing runs."""
