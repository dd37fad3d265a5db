"""`manifest`: the objects of Kubernetes that run a function."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from pybridge.cli.function import command, options, running
from pybridge.cli.output import print_json
from pybridge.errors import Undefined

if TYPE_CHECKING:
    from pybridge.functions.run import Run
    from pybridge.functions.store import Store

__all__: list[str] = []


@command("manifest")
@click.argument("function")
@click.option(
    "--action",
    type=click.Choice(["job", "serve"]),
    default="job",
    help="Run it as a job, or serve it.",
)
@options.passing
@options.declaring
@options.limiting
@click.option("--retries", "backoff_limit", type=int, help="Try a job so often again.")
@click.option("--schedule", metavar="CRON", help='When a job runs: "0 3 * * *".')
@click.option("--replicas", type=int, help="So many pods of a service.")
@click.option("--service-type", help="ClusterIP, NodePort or LoadBalancer.")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False),
    help="A folder, for a file each; without it, standard output.",
)
def _manifest(
    store: Store,
    function: str,
    *,
    action: str,
    params: tuple[str, ...],
    params_json: str | None,
    inputs: tuple[str, ...],
    output: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Write the Kubernetes objects that run FUNCTION, for `kubectl apply -f`.

    \b
      pybridge function manifest train.py --param steps=3 | kubectl apply -f -
      pybridge function manifest predict --action serve --replicas 3 -o manifests/

    FUNCTION may also be the key of a run. The values of secrets are in what is written.
    What a cluster wants of all of them, such as a registry, is in
    [functions.kubernetes] of pybridge.toml.
    """  # noqa: D301 (\b is click's)
    run = _known(store, function)
    if run is not None:
        _write(run, output, as_json=as_json)
        return
    its = running.declared(store, function, given)
    passed = {
        "parameters": options.parameters(params, params_json) or None,
        "inputs": options.inputs(inputs) or None,
        **given,
    }
    from pybridge.functions import manifests

    made = manifests.of_function(its, action, **options.run_fields(**passed))
    _write(made.objects, output, as_json=as_json)


def _known(store: Store, text: str) -> Run | None:
    """Return the run whose key or id is given; None where it is something else."""
    from pybridge.functions import keys, references

    is_key = keys.is_key(text) and keys.parse(text).type == "run"
    if not is_key and not store.beginning("run", text):
        return None
    try:
        return references.run(store, text)
    except Undefined:
        if is_key:
            raise
        return None


def _write(
    run: Run | list[dict[str, Any]], output: str | None, *, as_json: bool
) -> None:
    from pybridge.functions import manifests

    if output is not None:
        written = manifests.write(run, output)
        if as_json:
            print_json([str(path) for path in written])
            return
        for path in written:
            click.echo(path)
        return
    manifests.write(run, sys.stdout, "json" if as_json else "yaml")
