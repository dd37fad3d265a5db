"""A replica: one process of a service, from its fork to its end."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any, Callable

from pybridge.errors import BadArgument
from pybridge.functions import keys, processes
from pybridge.functions.execution import Execution
from pybridge.functions.serve.app import App
from pybridge.functions.serve.lanes import Lanes
from pybridge.functions.serve.log import say
from pybridge.functions.serve.server import Server, new_loop
from pybridge.functions.serve.watchdog import watch, watch_calls

if TYPE_CHECKING:
    import socket

    from pybridge.functions.run import Run
    from pybridge.functions.serve.board import Row
    from pybridge.functions.serve.metrics import Metrics
    from pybridge.functions.serve.options import Options

__all__ = ["FAILED", "Replica", "initialise"]

FAILED = 3  # the exit status of one that could not begin, and has said why


class Replica:
    """What a replica is made of; `main` is its life."""

    def __init__(
        self,
        run: Run,
        *,
        options: Options,
        listener: socket.socket,
        row: Row,
        metrics: Metrics,
        channel: int,
        number: int,
        attempt: int,
        token: str | None,
    ) -> None:
        """Serve `run` from `listener`; the master reads `channel`."""
        self.run = run
        self.options = options
        self.listener = listener
        self.row = row
        self.metrics = metrics
        self.channel = channel
        self.number = number
        self.attempt = attempt
        self.token = token
        self.stage = "source"
        self.spec = run.spec.to_dict()
        self.execution = Execution(run, attempt=attempt)
        self.secrets: list[str] = []
        self.inputs: dict[str, Any] = {}
        self.tree: Any = None
        self.ending = False

    def main(self) -> int:
        """Load the function, serve it until told to end; return the exit status."""
        _prepare()
        try:
            reserved, loaded = self._load()
            loop = new_loop()
            # The user's code finds no loop but its own, in whatever thread it is.
            asyncio.set_event_loop(None)
            options = self.options
            self.lanes = Lanes(
                loop,
                moving=options.concurrency == 1 and options.request_timeout is None,
            )
            status: int = self.lanes.host(self._serve(loaded, reserved))
            return status
        except BaseException as exc:  # also what the user's code ends a process with
            self._fail(exc)
            return FAILED

    def _load(self) -> tuple[dict[str, Any], Any]:
        """Return what requests are given under reserved names, and the function."""
        from pybridge.functions import arguments, loading, sources
        from pybridge.functions.nuclio import Context
        from pybridge.functions.serve.event import TRIGGER
        from pybridge.functions.start import saved

        run, spec = self.run, self.spec
        environ = self.execution.variables()
        self.secrets = [*self.execution.secrets, *([self.token] if self.token else [])]
        os.environ.update(environ)
        self.tree = sources.fetch(spec["source"], store=run.store, environ=os.environ)
        start = spec.get("start_context")
        loaded = loading.load(
            self.tree, spec.get("handler"), start and saved(start), self._lend
        )
        self.stage = "inputs"
        self.inputs = arguments.resolve(
            spec.get("inputs"), store=run.store, project=run.project
        )
        project = self.execution.bound_project()
        context = Context(
            worker_id=self.number, trigger=TRIGGER, project=project, run=run
        )
        context.user_function = loaded.function
        context.root = os.fspath(self.tree.path)
        return {"context": context, "project": project, "run": run}, loaded

    def _lend(self, name: str, module: str) -> None:
        """Have the processes that requests spawn find the function's modules."""
        from pybridge.functions.lending import Lent, lend

        start = self.spec.get("start_context")
        lent = Lent(name, str(self.tree.path), self.tree.digest, module, start)
        lend(lent, self.run.store.root / "cache" / "lent")

    def _fail(self, exc: BaseException) -> None:
        """Tell log and master why it could not begin."""
        say(f"replica {self.number}: {self.explain(exc)}")
        self.tell(failed=self.describe(exc))

    def describe(self, exc: BaseException) -> dict[str, Any]:
        """Return an exception as a run's status has it."""
        from pybridge.functions import failure

        return failure.describe(
            exc,
            stage=self.stage,
            attempt=self.attempt,
            tree=self.tree,
            secrets=self.secrets,
        )

    def explain(self, exc: BaseException) -> str:
        """Return the user's frames of an exception; all of them where none is."""
        from pybridge.masking import mask

        told = self.describe(exc)
        if told["frames"]:
            return str(told["traceback"])
        lines = traceback.format_exception(type(exc), exc, exc.__traceback__)
        return mask("".join(lines).rstrip(), tuple(self.secrets))

    def tell(self, **words: Any) -> None:
        """Send something to the master."""
        os.write(self.channel, json.dumps(words).encode() + b"\n")

    # ---- On the loop ----

    async def _serve(self, loaded: Any, reserved: dict[str, Any]) -> int:
        loop = asyncio.get_running_loop()
        self.end = loop.create_future()
        # Not as a handler of the loop: those want it to stay in the main thread.
        signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(self._end))
        name, given = self.spec.get("init_function"), self.spec.get("init_parameters")
        init = loaded.get(name) if name else None
        self.stage = "compose"
        app = self._app(loaded.function, reserved)
        context = reserved["context"]
        self.stage = "init"
        await app.call(lambda: initialise(init, context, given or {}))
        server = Server(app, self.listener, self.options, self.row)
        self.stage = "execute"
        if not self.end.done():
            server.start()
            if self.options.request_timeout is not None:
                watch(server, self.options.request_timeout, self._stuck)
            else:
                watch_calls(self.lanes, lambda: self.tell(held=True))
            app.ready = True
            self.tell(ready=True)
            await self.end
        await self._drained(server, app, context.platform.ended)
        return 0

    def _app(self, function: Callable[..., Any], reserved: dict[str, Any]) -> App:
        """Return what answers requests by calling the function."""
        return App(
            function,
            options=self.options,
            row=self.row,
            metrics=self.metrics,
            parameters=self.spec.get("parameters"),
            inputs=self.inputs,
            reserved=reserved,
            token=self.token,
            explain=self.explain,
            title=keys.executed_name(self.spec.get("function")),
            retire=self._retire,
            lanes=self.lanes,
        )

    async def _drained(
        self, server: Server, app: App, callback: Callable[[], Any]
    ) -> None:
        """Answer what is there, take no more, and call what the user gave."""
        app.ready = False
        if not await server.drain(self.options.drain_timeout):
            say(f"replica {self.number}: ends with requests unanswered")
        try:
            await app.aside(callback)
        except Exception as exc:
            say(f"replica {self.number}: {type(exc).__name__} in a callback: {exc}")
        app.records.flush()

    def _end(self) -> None:
        if not self.end.done():
            self.end.set_result(None)

    def _stuck(self, reason: str) -> None:
        """Have another replica take over, from a thread of its own."""
        self.tell(retiring=reason)

    def _retire(self, reason: str) -> None:
        """Have another replica take over: a call of this one cannot be ended."""
        if not self.ending:
            self.ending = True
            self.tell(retiring=reason)
            self._end()


def initialise(
    init: Callable[..., Any] | None, context: Any, parameters: dict[str, Any]
) -> Any:
    """Call an init function with the context and its parameters.

    Raises:
        BadArgument: parameters are missing or unknown, or there is no init function.

    """
    from pybridge.functions import arguments

    if init is None:
        if parameters:
            names = ", ".join(f'"{name}"' for name in parameters)
            raise BadArgument(
                f"init_parameters {names} were given, and the function has no "
                "init_function that would take them"
            )
        return None
    plan = arguments.plan(init)
    reserved = dict.fromkeys(arguments.RESERVED)
    reserved.update(context=context, project=context.project, run=context.run)
    try:
        args, keywords = plan.compose(parameters, {}, reserved)
    except arguments.ArgumentErrors as exc:
        told = str(exc).replace(" in parameters=", " in init_parameters=")
        raise BadArgument(told) from None
    return init(*args, **keywords)


def _prepare() -> None:
    """Make a fork of the master a process of its own."""
    processes.die_with(os.getppid())
    for name in (signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    atexit._clear()  # noqa: SLF001 - what the master registered is the master's
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
