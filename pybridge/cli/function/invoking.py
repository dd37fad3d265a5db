"""`invoke`: a request to a function that is served."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pybridge.cli.function import FAILED, command, options
from pybridge.errors import BadArgument, HostError, Undefined

if TYPE_CHECKING:
    from pybridge.functions.run import Run
    from pybridge.functions.store import Store

__all__ = ["example"]


@command("invoke")
@click.argument("run")
@options.project_option
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the function; repeatable.",
)
@click.option("--json-body", metavar="JSON", help="The body, as JSON; @FILE, or -.")
@click.option("--data", metavar="TEXT", help="The body, as it is; @FILE, or -.")
@click.option("--method", help="The method; POST with a body, GET without.")
@click.option("--path", "url", metavar="PATH", help="A path of the service.")
@click.option(
    "-H",
    "--header",
    "headers",
    multiple=True,
    metavar="NAME:VALUE",
    help="A header; repeatable.",
)
@click.option("--timeout", type=float, default=60, help="Seconds to wait; 60.")
def _invoke(
    store: Store,
    run: str,
    *,
    project: str | None,
    params: tuple[str, ...],
    json_body: str | None,
    data: str | None,
    method: str | None,
    url: str | None,
    headers: tuple[str, ...],
    timeout: float,
    as_json: bool,
) -> None:
    """Ask the service of RUN, and print what it answers.

    \b
      pybridge function invoke predict --param x=1.5
      pybridge function invoke predict --json-body @request.json

    RUN may also be the function: its service that was started last. The exit code is 1
    where the answer has a status of 400 or more.
    """  # noqa: D301 (\b is click's)
    if sum(1 for one in (params, json_body, data) if one) > 1:
        raise click.UsageError("give --param, --json-body or --data, one of them")
    found = _service(store, run, project)
    request: dict[str, Any] = {"headers": _headers(headers), "timeout": timeout}
    if params:
        request["json"] = options.parameters(params, None)
    elif json_body is not None:
        request["json"] = _json(json_body)
    elif data is not None:
        request["data"] = _body(data)
    answer = _sent(found, method, url, request)
    if as_json:
        from pybridge.cli.output import print_json

        print_json(
            {
                "status": answer.status_code,
                "headers": dict(answer.headers),
                "body": _read(answer),
            }
        )
    else:
        _print(answer)
    sys.exit(0 if answer.ok else FAILED)


def _service(store: Store, text: str, project: str | None) -> Run:
    """Return the run whose service is meant.

    Raises:
        Undefined: there is none.

    """
    from pybridge.functions import keys, references
    from pybridge.functions.run import Run, look

    try:
        function = references.function(store, text, project)
    except (Undefined, BadArgument):
        return references.run(store, text, project)
    if keys.is_key(text) and keys.parse(text).type == "run":
        return references.run(store, text, project)
    for entry in reversed(store.find(function.project, "run", states=["RUNNING"])):
        its = keys.parse_executable(entry["spec"]["function"])
        if its.name == function.name and entry["spec"].get("action") == "serve":
            return Run(look(store, entry), store)
    raise Undefined(
        f"'{function.project}/{function.name}' is not served; "
        f"pybridge function serve {function.project}/{function.name} --detach"
    )


def _sent(run: Run, method: str | None, url: str | None, request: Any) -> Any:
    import requests

    try:
        return run.invoke(method=method, url=url, **request)
    except requests.Timeout:
        raise HostError(
            f"no answer within {request['timeout']:g} s; --timeout gives it more"
        ) from None
    except requests.RequestException as exc:
        raise HostError(f"the service cannot be asked: {exc}") from None


def _json(given: str) -> Any:
    """Return a body of JSON, of any type."""
    try:
        return json.loads(options.text_of(given))
    except ValueError as exc:
        raise click.UsageError(f"--json-body is not JSON: {exc}") from None


def _headers(given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for one in given:
        name, colon, value = one.partition(":")
        if not colon:
            raise click.UsageError(f"--header {one!r} is not of the form NAME:VALUE")
        found[name.strip()] = value.strip()
    return found


def _body(given: str) -> bytes:
    """Return a body as bytes, also where they are no text."""
    if given == "-":
        return sys.stdin.buffer.read()
    if given.startswith("@"):
        return Path(given[1:]).read_bytes()
    return given.encode()


def _read(answer: Any) -> Any:
    """Return a body as what it is: JSON, or text."""
    try:
        return answer.json()
    except ValueError:
        return answer.text


def _print(answer: Any) -> None:
    """Print a body: JSON in order on a terminal, all else as it came."""
    if not answer.ok:
        click.echo(f"{answer.status_code} {answer.reason}", err=True)
    kind = answer.headers.get("content-type", "")
    if sys.stdout.isatty() and kind.startswith("application/json"):
        from rich.console import Console

        Console().print_json(answer.text)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(answer.content)
    if sys.stdout.isatty() and not answer.content.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


# ---- How to ask ----------------------------------------------------------------------

_SAMPLES = {
    "integer": 1,
    "number": 1.5,
    "string": "text",
    "boolean": True,
    "array": [],
    "object": {},
}


def example(run: Run) -> str:
    """Return a command line that asks a service, with all that it needs."""
    url = str(run.status.service["url"])
    url = url if "://" in url else f"http://{url}"
    body = _sample(run)
    words = [shlex.quote(url)]
    if run.spec.get("token"):  # in double quotes: the shell puts the value in
        words.append(f'-H "authorization: Bearer ${run.spec.token}"')
    if body is not None:
        words.append(f"-H 'content-type: application/json' -d {_quoted(body)}")
    return " ".join(["curl", *words])


def _quoted(body: dict[str, Any]) -> str:
    return shlex.quote(json.dumps(body, ensure_ascii=False))


def _sample(run: Run) -> dict[str, Any] | None:
    """Return a body for a service, of what it says of itself."""
    try:
        told = run.invoke(url="/openapi.json", timeout=2).json()
        operations = next(iter(told["paths"].values()))
        content = operations["post"]["requestBody"]["content"]["application/json"]
        schema = content["schema"]
        if "$ref" in schema:
            schema = told["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        wanted = schema.get("required") or list(schema["properties"])
        return {
            name: _SAMPLES.get(schema["properties"][name].get("type"), "…")
            for name in wanted
        }
    except Exception:  # it says nothing, or not that: there is a shorter example
        return None
