"""Context and Event."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import nuclio_sdk
import pytest

from pybridge.errors import BadArgument
from pybridge.functions.nuclio import Context, Event, Logger, Platform, Response
from tests.functions.calls import ran

if TYPE_CHECKING:
    from pybridge.functions.project import Project


def test_context_and_event_are_nuclios() -> None:
    """Code that asks for nuclio-sdk's classes finds them."""
    context, event = Context(), Event(body=1)

    assert isinstance(context, nuclio_sdk.Context)
    assert isinstance(event, nuclio_sdk.Event)
    assert isinstance(context.platform, nuclio_sdk.Platform)
    assert isinstance(context.Response(body="x"), nuclio_sdk.Response)


def test_context_has_what_functions_expect() -> None:
    """S-14, §5.3: logger, Response, platform, user_data, worker_id, trigger."""
    context = Context(worker_id=3)

    context.user_data.cache = 1
    context.model = "m"

    assert (1, "m", 3) == (context.user_data.cache, context.model, context.worker_id)
    assert ("job", "job") == (context.trigger.kind, context.trigger_name)
    found = context.Response(body="x", status_code=201, headers={"a": "b"})
    assert ("x", 201, "text/plain", {"a": "b"}) == (
        found.body,
        found.status_code,
        found.content_type,
        found.headers,
    )


@pytest.mark.parametrize(
    ("write", "wanted"),
    [
        (lambda log: log.info("plain"), "[info] plain"),
        (lambda log: log.debug("%s of %d", "a", 2), "[debug] a of 2"),
        (lambda log: log.warning("odd %d", "x"), "[warn] odd %d x"),
        (lambda log: log.warning("w"), "[warn] w"),
        (lambda log: log.error({"a": 1}), "[error] {'a': 1}"),
        (lambda log: log.info_with("m", a=1, b="ü"), '[info] m {"a": 1, "b": "ü"}'),
        (lambda log: log.error_with("m", x=object), '[error] m {"x": "<class \'obj'),
        (lambda log: log.debug_with("m", a=None), '[debug] m {"a": null}'),
        (lambda log: log.warn_with("m", a=[1]), '[warn] m {"a": [1]}'),
        (lambda log: log.info_with("m", a=float("nan")), '[info] m {"a":"NaN"}'),
    ],
)
def test_logger_writes_lines(
    write: Any, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """§5.3: each level, with values by name; nothing said makes it fail."""
    write(Logger())

    assert wanted in capsys.readouterr().out


def test_logger_binds_values_and_minds_its_level(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is bound is in each line; lines below the level are not written."""
    log = Logger("info")
    log.bind(request=5)

    log.debug("no")
    log.info("yes")
    log.set_level("error")
    log.warning("no")

    assert capsys.readouterr().out.endswith('[info] yes {"request": 5}\n')


def test_event_has_what_functions_expect() -> None:
    """§5.3: body, fields, headers in any case, and all the others."""
    event = Event(
        body=b"\x00\xff",
        content_type="application/octet-stream",
        fields={"q": "1"},
        headers={"X-Name": "v"},
        id="i",
        method="POST",
        path="/p",
    )

    assert ("v", None) == (event.get_header("x-name"), event.get_header("nope"))
    assert ("POST", "/p", {"q": "1"}, "i") == (
        event.method,
        event.path,
        event.fields,
        event.id,
    )
    told = json.loads(event.to_json())
    assert "AP8=" == told["body"]
    assert {"kind": "", "name": ""} == told["trigger"]
    assert repr(event) == event.to_json()
    assert '"body":["-Infinity"]' in Event(body=[float("-inf")]).to_json()
    assert ("/", 0, False) == (Event().path, Event().timestamp, Event().last_in_batch)


def test_platform_calls_back_once() -> None:
    """§5.3: what is to be called at the end is."""
    seen: list[str] = []
    platform = Platform()
    platform.set_drain_callback(lambda: seen.append("drain"))
    platform.set_termination_callback(lambda: seen.append("end"))

    platform.ended()
    platform.ended()

    assert ["drain", "end"] == seen


def test_platform_calls_only_what_is_served(project: Project) -> None:
    """§5.3: call_function of what is not served says what to do."""
    run = ran(
        project,
        "def f(context, event): context.platform.call_function('other', event)",
    )

    assert "'other' is not served in project 'p'" in run.status.message
    with pytest.raises(BadArgument):
        Platform(project=project).call_function("other", Event())


def test_it_works_without_nuclio_sdk() -> None:
    """Where nuclio-sdk is not installed, the same classes are there."""
    code = """
import sys
sys.modules["nuclio_sdk"] = None
from pybridge.functions.nuclio import Context, Event, Response
context = Context()
context.logger.info_with("hello", a=1)
answer = context.Response(body="x", content_type="text/html", status_code=404)
print(isinstance(answer, Response), answer, Event(body={"a": 1}).get_header("x"))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert '[info] hello {"a": 1}\n' in done.stdout, done.stderr
    assert "True Response(headers={}, body='x', content_type='text/html'" in done.stdout
    assert Response is nuclio_sdk.Response
