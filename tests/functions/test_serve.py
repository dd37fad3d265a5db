"""A service: parameters and events in, answers out."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pytest
import requests

from pybridge.errors import BadArgument
from tests.functions.services import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

PARAMETERS = '''
import os
from dataclasses import dataclass

def init(context, start, factor=2):
    context.user_data.count = start * factor
    setattr(context, "model", "a model")

def f(x: int, name: str = "nobody", tags: list[int] = (), data: bytes = b"",
      *, context):
    """Say what came.

    In more words.
    """
    context.user_data.count += 1
    return {
        "x": x, "name": name, "tags": list(tags), "size": len(data),
        "count": context.user_data.count, "model": context.model,
        "project": context.project.name, "run": context.run.id,
    }
'''

EVENTS = """
import asyncio
import dataclasses
import datetime
import sys
import time

import nuclio_sdk
import pandas as pd

@dataclasses.dataclass
class Point:
    x: int
    y: float

class Odd:
    def __repr__(self):
        return "<odd>"

def pieces():
    yield "one "
    yield b"two "
    yield {"three": 3}

def breaks():
    yield "one"
    raise ValueError("in the middle")

async def later():
    yield "a"
    await asyncio.sleep(0)
    yield "b"

def frame():
    return pd.DataFrame({"a": [1, 2], "b": ["x", None]})

def loop():
    it = []
    it.append(it)
    return {"it": it}

def answers(event, context):
    R = context.Response
    return {
        "text": lambda: "grüß",
        "dict": lambda: {"a": [1, "ü"]},
        "list": lambda: [1, {"b": 2}],
        "empty": lambda: [],
        "nan": lambda: {"n": float("nan"), "i": [float("-inf")]},
        "odd": lambda: {"o": Odd(), 1: datetime.date(2020, 1, 2)},
        "loop": loop,
        "bytes": lambda: b"\\x00\\xff",
        "int": lambda: 7,
        "none": lambda: None,
        "triple": lambda: (1, 2, 3),
        "status_text": lambda: (418, "short"),
        "status_json": lambda: (201, [1]),
        "no_content": lambda: (204, "nothing"),
        "not_a_status": lambda: (3, 4),
        "response": lambda: R(body="<p>", headers={"X-A": 1}, content_type="text/html",
                              status_code=202),
        "response_dict": lambda: R(body={"a": 1}),
        "response_bad": lambda: R(body="", headers={"X-A": "b\\r\\nX-C: d"}),
        "frame": frame,
        "status_frame": lambda: (206, frame()),
        "series": lambda: pd.Series([1, 2]),
        "point": lambda: Point(1, 0.5),
        "pieces": pieces,
        "breaks": breaks,
        "later": later,
    }

def f(event, context):
    what = event.path.strip("/")
    if what == "raise":
        secret = "hunter2"
        raise RuntimeError("boom " + secret)
    if what == "exit":
        sys.exit(3)
    if what == "refuse":
        raise nuclio_sdk.exceptions.ExceptionWithResponse(409, "not now")
    if what == "event":
        body = event.body
        return {
            "body": body if not isinstance(body, bytes) else ["bytes", body.decode()],
            "content_type": event.content_type, "method": event.method,
            "path": event.path, "fields": event.fields, "size": event.size,
            "trigger": [event.trigger.kind, event.trigger.name], "id": event.id,
            "header": event.get_header("X-THING"), "same": event.headers["x-thing"],
            "url": event.url, "is": isinstance(event, nuclio_sdk.Event),
        }
    if what == "log":
        context.logger.info_with("a line of the user", number=7)
        return "logged"
    value = answers(event, context)[what]()
    return value
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A directory for the stores of this file."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def parameters(root: Any) -> Iterator[Service]:
    """A function of parameters, with an init function."""
    given: dict[str, Any] = {"init_function": "init", "init_parameters": {"start": 50}}
    with Service(root, PARAMETERS, body_limit=100_000, **given) as service:
        yield service


@pytest.fixture(scope="module")
def events(root: Any) -> Iterator[Service]:
    """A function of events."""
    with Service(root, EVENTS) as service:
        yield service


# ---- Parameters ----


def test_invoke_maps_the_keys_of_json_to_parameters(parameters: Service) -> None:
    """S-33: what `invoke(json={"some-func-param": data})` suggests is so."""
    answer = parameters.run.invoke(method="POST", json={"x": 1, "name": "a"})

    assert 200 == answer.status_code
    assert (1, "a") == (answer.json()["x"], answer.json()["name"])


@pytest.mark.parametrize(
    "given",
    [
        {"params": {"x": "3", "tags": "4"}},
        {"data": {"x": "3", "tags": "4"}},
        {"data": {"x": "3", "tags": ["4"]}, "files": {"data": b"12345"}},
        {"json": {"x": "3", "tags": [4]}},
        {"params": {"x": "9"}, "json": {"x": 3, "tags": ["4"]}},
        {"data": '{"x": 3, "tags": [4]}'},
        {
            "data": '{"x": 3, "tags": [4]}',
            "headers": {"content-type": "application/x-www-form-urlencoded"},
        },
        {
            "data": '{"x": 3, "tags": [4]}'.encode("utf-16"),
            "headers": {"content-type": "application/json; charset=utf-16"},
        },
        {
            "data": b'{"x": 3, "tags": [4]}',
            "headers": {"content-type": "Application/JSON; charset=utf-8"},
        },
    ],
    ids=[
        "query",
        "form",
        "multipart",
        "json",
        "body-before-query",
        "untyped",
        "curl",
        "utf-16",
        "charset",
    ],
)
def test_parameters_come_from_wherever_a_request_has_them(
    parameters: Service, given: dict[str, Any]
) -> None:
    """S-33, §9-18: JSON, query string and forms; types are those of the annotations."""
    answer = parameters.ask(**given)

    assert 200 == answer.status_code, answer.text
    assert (3, [4]) == (answer.json()["x"], answer.json()["tags"])
    assert (5 if "files" in given else 0) == answer.json()["size"]


def test_get_takes_parameters_of_the_query_string(parameters: Service) -> None:
    """§9-18: a GET asks the function as well."""
    answer = parameters.ask("GET", "/?x=1&tags=1&tags=2&name=a%20b")

    found = answer.json()
    assert (1, [1, 2], "a b") == (found["x"], found["tags"], found["name"])


def test_all_wrong_parameters_are_told_at_once(parameters: Service) -> None:
    """422: each field with what is wrong with it, and the function has not run."""
    before = parameters.ask(json={"x": 1}).json()["count"]

    answer = parameters.ask(json={"tags": ["a"], "nmae": 1})

    assert 422 == answer.status_code
    told = {one["field"]: one["message"] for one in answer.json()["fields"]}
    assert {"x", "tags.0", "nmae"} == set(told)
    assert "is missing" == told["x"]
    assert "did you mean 'name'" in told["nmae"]
    assert before + 1 == parameters.ask(json={"x": 1}).json()["count"]


@pytest.mark.parametrize(
    ("status", "given", "words"),
    [
        (400, {"data": b"{", "headers": {"content-type": "application/json"}}, "JSON"),
        (422, {"json": [1]}, "the body is a list; wanted: an object with the param"),
        (415, {"data": b"a", "headers": {"content-type": "text/csv"}}, '"text/csv"'),
        (
            400,
            {"data": b"--x", "headers": {"content-type": "multipart/form-data"}},
            "not a form",
        ),
        (413, {"data": b"x" * 200_000}, "100,000 bytes, this one has 200,000"),
        (413, {"data": iter([b"x" * 200_000])}, "100,000 bytes, this one has larger"),
    ],
)
def test_body_that_says_nothing_is_refused_with_a_sentence(
    parameters: Service, status: int, given: dict[str, Any], words: str
) -> None:
    """400, 413, 415 and 422 say what came and what is wanted."""
    answer = parameters.ask(**given)

    assert (status, True) == (answer.status_code, words in answer.json()["error"])
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


def test_path_and_method_that_are_not_the_functions(parameters: Service) -> None:
    """404 for other paths, 405 with Allow for other methods, 204 for OPTIONS."""
    assert 404 == parameters.ask("GET", "/elsewhere").status_code
    refused = parameters.ask("TRACE")
    asked = parameters.ask("OPTIONS")

    assert (405, 204) == (refused.status_code, asked.status_code)
    assert "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT" == refused.headers["allow"]
    assert 405 == parameters.ask("POST", "/readyz").status_code


def test_head_has_headers_only(parameters: Service) -> None:
    """HEAD is GET without the body."""
    answer = parameters.ask("HEAD", "/?x=1")

    assert (200, b"") == (answer.status_code, answer.content)


def test_init_function_runs_once_and_leaves_what_calls_need(
    parameters: Service,
) -> None:
    """S-16: init parameters by name, defaults honoured; a context per replica."""
    first = parameters.ask(json={"x": 1}).json()
    second = parameters.ask(json={"x": 1}).json()

    assert first["count"] + 1 == second["count"]
    assert second["count"] > 100
    assert ("a model", "p") == (second["model"], second["project"])
    assert parameters.run.id == second["run"]


# ---- Events ----


def test_event_is_nuclios(events: Service) -> None:
    """S-6, §5.3: body, fields, headers, id, method, path, size, trigger, url."""
    answer = events.ask(
        "PUT",
        "/event?a=1&a=2&b=",
        json={"k": [1]},
        headers={"X-Thing": "t", "X-Request-Id": "my-id"},
    )

    found = answer.json()
    assert "http://127.0.0.1" in found.pop("url")
    assert {
        "body": {"k": [1]},
        "content_type": "application/json",
        "method": "PUT",
        "path": "/event",
        "fields": {"a": "2", "b": ""},
        "size": 10,
        "trigger": ["http", "http"],
        "id": "my-id",
        "header": "t",
        "same": "t",
        "is": True,
    } == found
    assert "my-id" == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("content_type", "body", "seen"),
    [
        ("application/json; charset=utf-8", b'{"a": 1}', {"a": 1}),
        ("application/ld+json", b"[1]", [1]),
        ("application/json", b"{broken", ["bytes", "{broken"]),
        ("text/plain", b'{"a": 1}', ["bytes", '{"a": 1}']),
        ("application/x-www-form-urlencoded", b"a=1", ["bytes", "a=1"]),
        ("", b"", ["bytes", ""]),
    ],
)
def test_event_has_the_document_or_the_bytes(
    events: Service, content_type: str, body: bytes, seen: Any
) -> None:
    """§5.3: JSON is parsed whatever else its content type says; all else is bytes."""
    headers = {"content-type": content_type, "x-thing": ""}

    answer = events.ask(path="/event", data=body, headers=headers)

    assert seen == answer.json()["body"]


TEXT, JSON = "text/plain; charset=utf-8", "application/json"


@pytest.mark.parametrize(
    ("what", "status", "kind", "body"),
    [
        ("text", 200, TEXT, "grüß"),
        ("dict", 200, JSON, '{"a":[1,"ü"]}'),
        ("list", 200, JSON, '[1,{"b":2}]'),
        ("empty", 200, JSON, "[]"),
        ("nan", 200, JSON, '{"n":"NaN","i":["-Infinity"]}'),
        ("odd", 200, JSON, '{"o":"<odd>","1":"2020-01-02"}'),
        ("loop", 200, JSON, '{"it":["..."]}'),
        ("int", 200, TEXT, "7"),
        ("none", 200, TEXT, "None"),
        ("triple", 200, TEXT, "(1, 2, 3)"),
        ("status_text", 418, TEXT, "short"),
        ("status_json", 201, JSON, "[1]"),
        ("no_content", 204, None, ""),
        ("not_a_status", 200, TEXT, "(3, 4)"),
        ("response", 202, "text/html", "<p>"),
        ("response_dict", 200, JSON, '{"a":1}'),
        ("frame", 200, JSON, '[{"a":1,"b":"x"},{"a":2,"b":null}]'),
        ("status_frame", 206, JSON, '[{"a":1,"b":"x"},{"a":2,"b":null}]'),
        ("series", 200, JSON, "[1,2]"),
        ("point", 200, JSON, '{"x":1,"y":0.5}'),
        ("pieces", 200, TEXT, 'one two {"three":3}\n'),
        ("later", 200, TEXT, "ab"),
        ("refuse", 409, TEXT, "not now"),
    ],
)
def test_return_value_becomes_an_answer(
    events: Service, what: str, status: int, kind: str | None, body: str
) -> None:
    """§5.4: the table of return values, lists whole."""
    answer = events.ask("GET", f"/{what}")

    assert status == answer.status_code
    assert kind == answer.headers.get("content-type")
    assert body == answer.content.decode()


def test_bytes_are_sent_as_they_are(events: Service) -> None:
    """§5.4: bytes."""
    assert b"\x00\xff" == events.ask("GET", "/bytes").content


def test_headers_of_a_response_are_sent_and_checked(events: Service) -> None:
    """A Response has headers; one that would make two of one is a failure."""
    assert "1" == events.ask("GET", "/response").headers["x-a"]

    assert 500 == events.ask("GET", "/response_bad").status_code


def test_generator_is_sent_in_pieces(events: Service) -> None:
    """§5.4: what yields is chunked; what fails half-way ends without an end."""
    assert "chunked" == events.ask("GET", "/pieces").headers["transfer-encoding"]

    with pytest.raises(Exception, match=r"(?i)prematurely|incomplete"):
        _ = events.ask("GET", "/breaks").content


def test_table_comes_as_the_client_accepts_it(events: Service) -> None:
    """DataFrames: JSON records, or Arrow, parquet, CSV by Accept."""
    wanted = pd.DataFrame({"a": [1, 2], "b": ["x", None]})

    def ask(accept: str) -> bytes:
        answer = events.ask("GET", "/frame", headers={"accept": accept})
        return bytes(answer.content)

    arrow = ask("application/vnd.apache.arrow.stream, application/json;q=0.1")
    pd.testing.assert_frame_equal(wanted, pa.ipc.open_stream(arrow).read_pandas())
    parquet = ask("text/html;q=0.5, application/parquet")
    pd.testing.assert_frame_equal(wanted, pd.read_parquet(io.BytesIO(parquet)))
    assert b"a,b\n1,x\n2,\n" == ask("text/csv")
    assert b'[{"a":1' == ask("text/html, */*;q=0.8")[:7]


def test_failure_is_told_to_the_log_and_not_to_the_client(events: Service) -> None:
    """§5.5: 500 with a request id, under which the log has the user's frames."""
    answer = events.ask("GET", "/raise")

    assert 500 == answer.status_code
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text
    log = events.logged(f"request {answer.json()['request_id']}: the function failed")
    assert "RuntimeError: boom hunter2" in log
    assert "in f\n" in log
    assert "lanes.py" not in log


def test_exit_in_a_function_ends_no_replica(events: Service) -> None:
    """§5.5: SystemExit is a failure as others are."""
    assert 500 == events.ask("GET", "/exit").status_code

    assert 200 == events.ask("GET", "/text").status_code


def test_log_has_a_line_for_each_request(events: Service) -> None:
    """§9-19: the access log, and what the function logs itself."""
    answer = events.ask("GET", "/log?a=%22%0A", headers={"x-request-id": "r-1"})

    log = events.logged(" r-1")
    assert "logged" == answer.text
    assert '127.0.0.1 "GET /log?a=%22%0A" 200 ' in log
    assert 'a line of the user {"number": 7}' in log


# ---- Pages ----


def test_health_and_metrics(parameters: Service) -> None:
    """§9-19: /livez and /readyz answer, /metrics is what Prometheus reads."""
    from prometheus_client.parser import text_string_to_metric_families

    parameters.ask(json={"x": 1})

    assert 200 == parameters.ask("GET", "/livez").status_code
    assert {"status": "ready"} == parameters.ask("GET", "/readyz").json()
    text = parameters.ask("GET", "/metrics").text
    families = {one.name: one for one in text_string_to_metric_families(text)}
    assert {"pybridge_requests", "pybridge_request_duration_seconds"} <= set(families)
    assert 1 == families["pybridge_requests_in_progress"].samples[0].value


def test_openapi_says_what_the_function_takes(parameters: Service) -> None:
    """§9-19: the schema has parameters, types, defaults and the docstring."""
    told = parameters.ask("GET", "/openapi.json").json()

    post = told["paths"]["/"]["post"]
    schema = post["requestBody"]["content"]["application/json"]["schema"]
    assert ["x"] == schema["required"]
    assert {"type": "integer"} == schema["properties"]["x"]
    assert {"default": "nobody", "type": "string"} == schema["properties"]["name"]
    assert ["x", "name", "tags", "data"] == list(schema["properties"])
    assert "Say what came." == post["summary"]
    assert {"200", "422", "500", "503", "504"} <= set(post["responses"])


def test_docs_page_needs_nothing_from_outside(parameters: Service) -> None:
    """§9-19: /docs is one file, and its policy forbids more."""
    answer = parameters.ask("GET", "/docs")

    assert "text/html; charset=utf-8" == answer.headers["content-type"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "//" not in answer.text.replace("<!doctype", "")


# ---- invoke ----


def test_invoke_honours_method_path_and_url(events: Service) -> None:
    """S-30, S-31: the given method, GET without a body; a path or a full url."""
    run = events.run

    put = run.invoke(method="PUT", url="/event", headers={"x-thing": ""})
    got = run.invoke(url=f"{events.url}/event", headers={"x-thing": ""})
    posted = run.invoke(url="/event", json={"a": 1}, headers={"x-thing": ""})

    methods = [one.json()["method"] for one in (put, got, posted)]
    assert ["PUT", "GET", "POST"] == methods


def test_status_names_the_service_while_it_answers(root: Any) -> None:
    """S-29, S-32: {name, url, urls, type, replicas}; gone when STOPPED."""
    with Service(
        root, "def f(): return 'hello world'", service_type="ClusterIP"
    ) as one:
        service = one.run.status.service
        assert {"name", "url", "urls", "type", "replicas"} == set(service)
        assert ("ClusterIP", 1) == (service["type"], service["replicas"])
        assert [service["url"]] == service["urls"]
        assert "RUNNING" == one.run.state
        assert "hello world" == one.run.invoke().text

        one.run.stop()

        assert "STOPPED" == one.run.state
        assert one.run.status.service is None
        told = [move["status"] for move in one.run.status.transitions]
        assert ["RUNNING", "STOP", "STOPPED"] == told[-3:]
        with pytest.raises(BadArgument):
            one.run.invoke()

        one.run.resume()
        one.run.wait(60)

        assert "hello world" == one.run.invoke().text
        assert service["url"] == one.url


@pytest.mark.parametrize(
    ("code", "given", "stage", "words"),
    [
        (
            "def init(context):\n    raise OSError('no model')\ndef f(): pass",
            {"init_function": "init"},
            "init",
            "OSError: no model",
        ),
        (
            "def init(context, a, b=1): pass\ndef f(): pass",
            {"init_function": "init", "init_parameters": {"c": 1}},
            "init",
            "a: is missing; give it in init_parameters=",
        ),
        ("import nothing_of_that_name\ndef f(): pass", {}, "source", "ModuleNotFound"),
        (
            "import os\ndef init(context): os._exit(7)\ndef f(): pass",
            {"init_function": "init"},
            "serve",
            "ended with exit status 7 before the service was ready",
        ),
    ],
    ids=["init-fails", "init-parameters", "import", "exit"],
)
def test_service_that_cannot_begin_ends_in_error(
    root: Any, code: str, given: dict[str, Any], stage: str, words: str
) -> None:
    """§5.2, S-16: ERROR with the reason and the user's frames, and no restarts."""
    with Service(root, code, replicas=2, **given) as one:
        assert 1 == one.ended()

    status = one.run.status
    assert "ERROR" == one.run.state
    assert words in status.message
    assert stage == status.error["stage"]
    assert status.service is None
    if words == "OSError: no model":
        assert "line 2, in init" in status.error["traceback"]


def test_json_answers_are_read_by_every_client(events: Service) -> None:
    """What is sent as JSON is JSON, without NaN."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    text = events.ask("GET", "/nan").text

    assert {"n": "NaN", "i": ["-Infinity"]} == json.loads(text, parse_constant=refuse)


def test_process_of_a_service_is_started_by_a_command(root: Any) -> None:
    """Python -m pybridge.functions.serve: what it was told goes before the run."""
    with Service(root, "def f(): return 'told'") as service:
        store, key = str(service.run.store.root), service.run.key
        service.run.stop()
    service.run.store.move(key, "RESUME")  # by somebody who has gone since
    port = free_port()
    command = [sys.executable, "-m", "pybridge.functions.serve", "--store", store]
    with subprocess.Popen(
        [*command, "--run", key, "--port", str(port)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while "answers at" not in process.stdout.readline():
            assert process.poll() is None
        assert "told" == requests.get(f"http://127.0.0.1:{port}", timeout=60).text
        process.send_signal(signal.SIGINT)

        assert 0 == process.wait(60)
    nothing = subprocess.run([*command, "--run", f"{key}0"], check=False)
    assert 2 == nothing.returncode


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
