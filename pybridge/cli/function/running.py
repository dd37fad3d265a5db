"""`run`, `serve` and `build`: a function made to run, and watched."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import click

from pybridge.cli.function import (
    FAILED,
    STOPPED,
    command,
    following,
    options,
    shown,
    target,
)

if TYPE_CHECKING:
    from pybridge.functions.function import Function
    from pybridge.functions.run import Run
    from pybridge.functions.store import Store

__all__ = ["declared"]

_DECLARED = (
    "project",
    "name",
    "handler",
    "init",
    "python",
    "requirements",
    "base_image",
)
_follow = click.option(
    "--follow/--quiet",
    "logs",
    default=None,
    help="Show what it writes, or not; without either, on a terminal.",
)
_detach = click.option(
    "-d", "--detach", is_flag=True, help="Print the key at once, and leave it running."
)


def declared(store: Store, text: str, given: dict[str, Any]) -> Function:
    """Return the function that is meant, and take what declares it out of `given`."""
    fields = {name: given.pop(name) for name in _DECLARED}
    return target.find(store, text, **fields)


def _begun(function: Function, action: str, given: dict[str, Any]) -> Run:
    return function.run(action, **options.run_fields(**given))


@command("run")
@click.argument("function")
@options.passing
@options.declaring
@options.limiting
@click.option("--retries", "backoff_limit", type=int, help="Try so often again.")
@click.option("--start-context", metavar="NAME", help="Begin with a saved context.")
@click.option("--local", is_flag=True, help="Run it in this very process.")
@_detach
@_follow
def _run(
    store: Store,
    function: str,
    *,
    params: tuple[str, ...],
    params_json: str | None,
    inputs: tuple[str, ...],
    local: bool,
    detach: bool,
    logs: bool | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Run FUNCTION as a job, and print what it gives.

    \b
      pybridge function run train.py:train --param steps=3
      pybridge function run train.py --input df=flights.csv -r scikit-learn
      pybridge function run demo/train --detach

    What the function writes is shown on standard error, its results on standard output.
    Ctrl-C stops the run, and once more leaves it running. The exit code is 1 when the
    function failed and 130 when the run was stopped.
    """  # noqa: D301 (\b is click's)
    its = declared(store, function, given)
    passed = {
        "parameters": options.parameters(params, params_json) or None,
        "inputs": options.inputs(inputs) or None,
        **given,
    }
    if local:
        _in_process(its, passed, as_json=as_json)
        return
    with following.terminated():
        run = _begun(its, "job", passed)
        if detach:
            _left(run, as_json=as_json)
            return
        _watched(run, logs=logs, as_json=as_json)


def _in_process(its: Function, passed: dict[str, Any], *, as_json: bool) -> None:
    """Run a function here; what it prints goes to stderr, as that of other runs."""
    try:
        with redirect_stdout(sys.stderr):
            run = _begun(its, "job", {**passed, "local_execution": True})
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
        sys.exit(STOPPED)
    shown.outcome(run, as_json=as_json)
    sys.exit(_code(run))


def _left(run: Run, *, as_json: bool) -> None:
    """Print the key of a run that is left running."""
    if as_json:
        from pybridge.cli.output import print_json
        from pybridge.functions import report

        print_json(report.summary(run.to_dict()))
        return
    click.echo(run.key)


def _watched(run: Run, *, logs: bool | None, as_json: bool) -> None:
    """Follow a job to its end, and leave with its exit code."""
    screen = following.Screen()
    wanted = screen.is_terminal if logs is None else logs
    try:
        following.follow(run, screen, logs=wanted)
    except KeyboardInterrupt:
        run = following.stop(run, screen)
        if not run.is_final:
            sys.exit(STOPPED)
    shown.outcome(run, as_json=as_json, traceback=not wanted)
    sys.exit(_code(run))


def _code(run: Run) -> int:
    return {"COMPLETED": 0, "STOPPED": STOPPED}.get(run.state, FAILED)


@command("serve")
@click.argument("function")
@options.passing
@options.declaring
@options.limiting
@click.option("--port", type=int, help="The port; without it, one that is free.")
@click.option("--host", help="The address; without it, this machine alone.")
@click.option("--replicas", type=int, help="So many processes.")
@click.option("--token", metavar="SECRET", help="Ask for the value of this secret.")
@click.option("--insecure", is_flag=True, default=None, help="Need no token elsewhere.")
@click.option(
    "--init-param",
    "init_params",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the init function; repeatable.",
)
@_detach
@_follow
def _serve(
    store: Store,
    function: str,
    *,
    params: tuple[str, ...],
    params_json: str | None,
    inputs: tuple[str, ...],
    init_params: tuple[str, ...],
    detach: bool,
    logs: bool | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Serve FUNCTION over HTTP, and print where.

    \b
      pybridge function serve train.py:predict --port 8080
      pybridge function serve train.py:predict --input model=KEY --detach

    What --param and --input give, requests need not give.
    Its log is shown until Ctrl-C, which lets it answer what it has been asked and ends
    it. With --detach it is left running as soon as it answers.
    """  # noqa: D301 (\b is click's)
    its = declared(store, function, given)
    given["parameters"] = options.parameters(params, params_json) or None
    given["inputs"] = options.inputs(inputs) or None
    given["init_parameters"] = options.parameters(init_params, None) or None
    screen = following.Screen()
    with following.terminated():
        run = _begun(its, "serve", given)
        try:
            following.follow(run, screen, logs=not detach, over=_answers)
            if run.is_final:
                shown.outcome(run, as_json=as_json, traceback=detach)
                sys.exit(_code(run))
            _announced(run, as_json=as_json)
            if detach:
                return
            following.follow(run, screen, logs=logs is not False, over=None)
        except KeyboardInterrupt:
            run = following.stop(run, screen, "draining")
            click.echo(shown.ending(run), err=True)
            sys.exit(0 if run.state == "STOPPED" else STOPPED)
    shown.outcome(run, as_json=False, traceback=False)
    sys.exit(_code(run))


def _answers(run: Run) -> bool:
    return bool(run.status.get("service"))


def _announced(run: Run, *, as_json: bool) -> None:
    """Print where a service is, and how to ask it."""
    if as_json:
        _left(run, as_json=True)
        return
    url = run.status.service["url"]
    click.echo(url if "://" in url else f"http://{url}")
    click.echo(f"  try it   {_example(run)}", err=True)
    click.echo(f"  stop it  pybridge function stop {run.id[:12]}", err=True)


def _example(run: Run) -> str:
    """Return a command line that asks the service."""
    from pybridge.cli.function.invoking import example

    return example(run)


@command("build")
@click.argument("function")
@options.declaring
@options.limiting
@click.option(
    "--instruction",
    "instructions",
    multiple=True,
    metavar="COMMAND",
    help="A RUN line of the image; repeatable.",
)
@_detach
@_follow
def _build(
    store: Store,
    function: str,
    *,
    detach: bool,
    logs: bool | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Make the environment that FUNCTION needs; its runs use it from then on.

    \b
      pybridge function build train.py -r scikit-learn -r "pandas<4"
    """  # noqa: D301 (\b is click's)
    its = declared(store, function, given)
    given["instructions"] = list(given.pop("instructions")) or None
    with following.terminated():
        run = _begun(its, "build", given)
        if detach:
            _left(run, as_json=as_json)
            return
        _watched(run, logs=logs, as_json=as_json)
