"""Context and Event: what functions are given of the platform they run on.

They are those of nuclio-sdk where that is installed, so that code which asks for its
classes finds them, and the same without it otherwise.
"""

# ruff: noqa: A002 - the names are nuclio's

from __future__ import annotations

import base64
import json
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Callable

try:
    import nuclio_sdk as _nuclio
except ImportError:
    _nuclio = None

__all__ = ["Context", "Event", "Logger", "Platform", "Response", "TriggerInfo"]


class TriggerInfo:
    """What has called the function: `http`, or `job`."""

    def __init__(self, kind: str = "", name: str = "") -> None:
        """Take its kind and name."""
        self.kind = kind
        self.name = name


if _nuclio is None:

    class Response:
        """What a service answers with, where that is more than a body."""

        def __init__(
            self,
            headers: Mapping[str, Any] | None = None,
            body: Any = None,
            content_type: str | None = None,
            status_code: int = 200,
            event_id: str | None = None,
        ) -> None:
            """Take the parts of the answer."""
            self.headers = dict(headers or {})
            self.body = body
            self.content_type = content_type or "text/plain"
            self.status_code = status_code
            self.event_id = event_id

        def __repr__(self) -> str:
            """Show the parts."""
            parts = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
            return f"Response({parts})"

    _Event: Any = object
    _Context: Any = object
    _Platform: Any = object
else:
    Response = _nuclio.Response  # type: ignore[misc]
    _Event = _nuclio.Event
    _Context = _nuclio.Context
    _Platform = _nuclio.Platform


class Event(_Event):  # type: ignore[misc]
    """One call of a function: its body, and where it came from."""

    def __init__(
        self,
        body: Any = None,
        content_type: str | None = None,
        trigger: Any = None,
        fields: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
        id: str | None = None,
        method: str | None = None,
        path: str | None = None,
        size: int | None = None,
        timestamp: Any = None,
        url: str | None = None,
        shard_id: int | None = None,
        num_shards: int | None = None,
        type: str | None = None,
        type_version: str | None = None,
        version: str | None = None,
        last_in_batch: bool = False,
        offset: int = 0,
        topic: str | None = None,
    ) -> None:
        """Take the parts of the call."""
        self.body = body
        self.content_type = content_type
        self.trigger = trigger or TriggerInfo()
        self.fields = dict(fields or {})
        self.headers = dict(headers or {})
        self.id = id
        self.method = method
        self.path = path or "/"
        self.size = size
        self.timestamp = timestamp or 0
        self.url = url
        self.shard_id = shard_id
        self.num_shards = num_shards
        self.type = type
        self.type_version = type_version
        self.version = version
        self.last_in_batch = last_in_batch
        self.offset = offset
        self.topic = topic

    def get_header(self, header_key: str) -> Any:
        """Return a header, in whatever case its name is written; None without one."""
        wanted = header_key.lower()
        for name, value in self.headers.items():
            if name.lower() == wanted:
                return value
        return None

    def to_json(self) -> str:
        """Return all of it as JSON text."""
        parts = {name: one for name, one in vars(self).items() if name[:1] != "_"}
        parts["trigger"] = {"kind": self.trigger.kind, "name": self.trigger.name}
        if isinstance(self.body, bytes):
            parts["body"] = base64.b64encode(self.body).decode()
        return _as_json(parts, str)

    def __repr__(self) -> str:
        """Show it as JSON."""
        return self.to_json()


class Logger:
    """Lines of a log, each with a level, and values by name where there are some.

    They go where `print` goes.
    """

    def __init__(self, level: str = "debug") -> None:
        """Write lines of that level and above."""
        self.level = _LEVELS.index(level)
        self._bound: dict[str, Any] = {}

    def debug(self, message: Any, *args: Any) -> None:
        """Write a line for who looks for mistakes."""
        self._write(0, message, args, {})

    def info(self, message: Any, *args: Any) -> None:
        """Write a line."""
        self._write(1, message, args, {})

    def warn(self, message: Any, *args: Any) -> None:
        """Write a line about what may be wrong."""
        self._write(2, message, args, {})

    def error(self, message: Any, *args: Any) -> None:
        """Write a line about what is wrong."""
        self._write(3, message, args, {})

    warning = warn
    exception = error

    def debug_with(self, message: Any, *args: Any, **with_: Any) -> None:
        """Write a line for who looks for mistakes, with values."""
        self._write(0, message, args, with_)

    def info_with(self, message: Any, *args: Any, **with_: Any) -> None:
        """Write a line, with values."""
        self._write(1, message, args, with_)

    def warn_with(self, message: Any, *args: Any, **with_: Any) -> None:
        """Write a line about what may be wrong, with values."""
        self._write(2, message, args, with_)

    def error_with(self, message: Any, *args: Any, **with_: Any) -> None:
        """Write a line about what is wrong, with values."""
        self._write(3, message, args, with_)

    warning_with = warn_with

    def bind(self, **with_: Any) -> None:
        """Give each line from now on these values."""
        self._bound.update(with_)

    def set_level(self, level: str) -> None:
        """Write lines of that level and above: debug, info, warn or error."""
        self.level = _LEVELS.index(level)

    def _write(
        self, level: int, message: Any, args: tuple[Any, ...], with_: dict[str, Any]
    ) -> None:
        if level < self.level:
            return
        text = str(message)
        if args:
            try:
                text = text % args
            except (
                TypeError,
                ValueError,
            ):  # what was to be said is better than nothing
                text = " ".join([text, *(str(one) for one in args)])
        values = {**self._bound, **with_}
        if values:
            text += " " + _as_json(values, repr)
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        # A line in one piece: other threads write too.
        sys.stdout.write(f"{now} [{_LEVELS[level]}] {text}\n")
        sys.stdout.flush()


_LEVELS = ("debug", "info", "warn", "error")


class Platform(_Platform):  # type: ignore[misc]
    """What there is around the function: other functions, and its own end."""

    def __init__(self, kind: str = "pybridge", project: Any = None) -> None:
        """Take where other functions are found."""
        self.kind = kind
        self.namespace = getattr(project, "name", "default")
        self._project = project
        self._control_callback: Any = None
        self._drain_callback: Callable[[], None] | None = None
        self._termination_callback: Callable[[], None] | None = None

    def set_drain_callback(self, callback: Callable[[], None]) -> None:
        """Have something called when no more calls will come."""
        self._drain_callback = callback

    def set_termination_callback(self, callback: Callable[[], None]) -> None:
        """Have something called when the process is about to end."""
        self._termination_callback = callback

    def ended(self) -> None:
        """Call what is to be called at the end, once."""
        for name in ("_drain_callback", "_termination_callback"):
            callback = getattr(self, name)
            setattr(self, name, None)
            if callback is not None:
                callback()

    def call_function(
        self,
        function_name: str,
        event: Any,
        node: Any = None,
        timeout: float | None = None,
        service_name_override: str | None = None,
    ) -> Any:
        """Call another function of the project that is served, and return its Response.

        Raises:
            BadArgument: it is not being served.

        """
        del node
        import requests

        from pybridge.functions.running import service_url

        url = service_url(self._project, service_name_override or function_name)
        body = event.body
        options = {"json": body} if isinstance(body, (dict, list)) else {"data": body}
        answer = requests.request(
            event.method or "POST",
            url + (event.path or "/"),
            headers=dict(event.headers or {}),
            params=dict(event.fields or {}),
            timeout=timeout,
            **options,
        )
        kind = answer.headers.get("Content-Type", "text/plain")
        parsed = answer.json() if kind.startswith("application/json") else answer.text
        return Response(
            headers=dict(answer.headers),
            body=parsed,
            content_type=kind,
            status_code=answer.status_code,
        )


class Context(_Context):  # type: ignore[misc]
    """What a function keeps between its calls, and what it is lent: a logger, Response.

    Attributes can be set on it: an init function leaves there what calls need.
    """

    def __init__(
        self,
        logger: Any = None,
        platform: Any = None,
        worker_id: int | None = None,
        trigger: Any = None,
        project: Any = None,
        run: Any = None,
    ) -> None:
        """Take where it is, and what runs."""
        self._logger_per_async_tasks = False
        self.logger = logger or Logger()
        self.platform = platform or Platform(project=project)
        self.user_data: Any = _UserData()
        self.Response = Response
        self.worker_id = worker_id
        self.trigger = trigger or TriggerInfo("job", "job")
        self.trigger_name = self.trigger.name
        self.project = project
        self.run = run
        self.root = None if run is None else str(getattr(run, "root", "") or "")

    # nuclio's own has properties here, for loggers of tasks.
    logger: Any = None


class _UserData:
    """A place for attributes."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"user_data has no '{name}' yet")


def _as_json(value: Any, default: Callable[[Any], str]) -> str:
    """Return JSON text; NaN, and what contains itself, is told in words."""
    try:
        return json.dumps(value, default=default, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        from pybridge.functions.serve.response import dumps

        return dumps(value).decode()
