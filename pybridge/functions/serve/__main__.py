"""The process of a service: python -m pybridge.functions.serve --store R --run K.

SIGTERM and SIGINT end it when the requests in progress have been answered, SIGHUP
replaces its replicas one after the other. `--host`, `--port`, `--replicas` and
`--insecure` go before what the run says.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pybridge.functions.serve.replicas import Master

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Serve a run until it is stopped; return the exit status."""
    given = _parser().parse_args(argv)
    signals: list[int] = []  # those that come before there is anything to end
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: signals.append(number))
    os.environ["PYBRIDGE_FUNCTIONS"] = given.store

    from pybridge.errors import BridgeError
    from pybridge.functions import failure
    from pybridge.functions.manager import outcome
    from pybridge.functions.run import Run
    from pybridge.functions.serve import options
    from pybridge.functions.serve.log import say
    from pybridge.functions.store import Store

    store = Store.open(given.store)
    entity = store.get(given.run)
    if entity is None:
        say(f'service: the store "{given.store}" has no run "{given.run}"')
        return 2
    run = Run(entity, store)
    over = {name: getattr(given, name) for name in ("host", "port", "replicas")}
    try:
        read = options.read(run.spec.to_dict(), **over, insecure=given.insecure or None)
        return _master()(run, read, attempt=given.attempt, signals=signals).main()
    except Exception as exc:
        told = failure.describe(exc, stage="serve", attempt=given.attempt)
        message = outcome.line(told)
        say(f"service: failed: {message}")
        attempts = [*(run.status.attempts or ()), told]
        with contextlib.suppress(BridgeError):  # the run has been deleted
            store.move(run.key, "ERROR", message=message, error=told, attempts=attempts)
        return 1


def _master() -> type[Master]:
    """Return the class of the master.

    Raises:
        HostError: a package is missing.

    """
    try:
        from pybridge.functions.serve.replicas import Master
    except ModuleNotFoundError as exc:
        from pybridge.errors import HostError

        raise HostError(
            f"a service needs the package '{exc.name}'; pip install "
            "'pybridge[functions]'"
        ) from None
    return Master


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pybridge.functions.serve", description="Serve a run."
    )
    parser.add_argument("--store", required=True, help="the directory of the store")
    parser.add_argument("--run", required=True, help="the key of the run")
    parser.add_argument("--attempt", type=int, default=1)
    parser.add_argument(
        "--more", action="store_true", help="another attempt may follow"
    )
    parser.add_argument("--host", help="where to listen, before what the run says")
    parser.add_argument("--port", type=int, help="the same for the port")
    parser.add_argument("--replicas", type=int, help="the same for their number")
    parser.add_argument("--insecure", action="store_true", help="listen without token")
    return parser


if __name__ == "__main__":
    sys.exit(main())
