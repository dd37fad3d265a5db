"""Listening: the socket of a service, and what others are told about where it is."""

from __future__ import annotations

import http.client
import socket
import time
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument, HostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pybridge.functions.run import Run
    from pybridge.functions.serve.options import Options

__all__ = ["ask", "bind", "service"]

_BACKLOG = 2048
_PATIENCE = 30.0
_ANSWER = 2.0  # in which there is one, or another is asked for
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104


def bind(options: Options, remembered: int = 0) -> socket.socket:
    """Return a socket that listens; on the port of last time, where none is asked for.

    Raises:
        BadArgument: the address cannot be had.

    """
    wanted = [options.port] if options.port else [remembered, 0]
    for port in wanted:
        if port == 0 and port != wanted[-1]:
            continue
        try:
            return _bind(options.host, port)
        except OSError as exc:
            if port == wanted[-1]:
                raise BadArgument(
                    f'the service cannot listen on "{options.host}" port {port}: '
                    f"{exc.strerror or exc}"
                ) from None
    raise AssertionError


def _bind(host: str, port: int) -> socket.socket:
    family, kind, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    # asyncio turns Nagle's delay off only for sockets that are said to be TCP's, and a
    # client's delayed acknowledgements would make 40 ms of each answer otherwise.
    listener = socket.socket(family, kind, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def service(run: Run, options: Options, listener: socket.socket) -> dict[str, Any]:
    """Return what a run's status says of its service."""
    port = listener.getsockname()[1]
    urls = [_url(_reachable(options.host), port)]
    if options.host in _EVERYWHERE:
        urls.append(_url(socket.gethostname(), port))
    spec = run.spec.to_dict()
    return {
        "name": spec.get("service_name") or f"s-python-serve-{run.id}",
        "type": spec.get("service_type") or "NodePort",
        "url": urls[0],
        "urls": urls,
        "replicas": options.replicas,
    }


def ask(options: Options, listener: socket.socket, give_up: Callable[[], bool]) -> None:
    """Return when the service has answered that it is ready, or who waits gives up.

    Raises:
        HostError: it has not, for a long time.

    """
    port = listener.getsockname()[1]
    until = time.monotonic() + _PATIENCE
    while not give_up():
        connection = http.client.HTTPConnection(
            _reachable(options.host), port, timeout=_ANSWER
        )
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse().status
        except (OSError, http.client.HTTPException) as exc:
            answer, told = 0, str(exc)
        else:
            told = f"status {answer}"
        finally:
            connection.close()
        if answer == 200:
            return
        if time.monotonic() > until:
            raise HostError(f"the service does not answer at its own address: {told}")
        time.sleep(0.02)


def _reachable(host: str) -> str:
    return _EVERYWHERE.get(host, host)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
