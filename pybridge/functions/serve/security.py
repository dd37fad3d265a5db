"""Who may ask a service: tokens, and what a browser is made to ask for others."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pybridge.functions.serve.options import Options

__all__ = ["Guard"]

_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
_SCHEME = b"bearer "
_MOST = 16


class Guard:
    """Decides whether a request is heard."""

    def __init__(self, options: Options, token: str | None) -> None:
        """Want `token`, or, where nobody has one, a client of this machine."""
        # Digests are compared: neither content nor length shows in the time.
        self._digest = None if token is None else sha256(token.encode()).digest()
        self._here = options.loopback and token is None
        self._hosts = _HERE | {options.host}
        self._known: set[bytes] = set()  # hosts as they were written, that are right

    @property
    def wants_token(self) -> bool:
        """Is a token wanted?"""
        return self._digest is not None

    def refusal(self, headers: Mapping[bytes, bytes]) -> tuple[int, str] | None:
        """Return the status and the reason why a request is not heard, or None."""
        if self._digest is not None:
            given = headers.get(b"authorization", b"")
            return self._without_token(given, self._digest)
        if self._here:
            return self._from_elsewhere(headers)
        return None

    @staticmethod
    def _without_token(given: bytes, digest: bytes) -> tuple[int, str] | None:
        token = (
            given[len(_SCHEME) :] if given[: len(_SCHEME)].lower() == _SCHEME else b""
        )
        if hmac.compare_digest(sha256(token.strip()).digest(), digest):
            return None
        if not given:
            return 401, 'the service wants the header "Authorization: Bearer <token>"'
        return 401, 'the token in the header "Authorization" is not the service\'s'

    def _from_elsewhere(self, headers: Mapping[bytes, bytes]) -> tuple[int, str] | None:
        """Refuse what a page of somewhere else has a browser of this machine send.

        Such a page can send requests to this address, and under a name of its own that
        leads here even read the answers. Clients that are no browsers send no Origin.
        """
        host = headers.get(b"host", b"")
        if host and host not in self._known:
            if _name(host) not in self._hosts:
                name = host.decode("latin-1")
                return 403, (
                    f'the service answers this machine alone, not as "{name}"; give it '
                    "a token= to have it answer others"
                )
            if len(self._known) < _MOST:
                self._known.add(host)
        origin = headers.get(b"origin")
        if origin is not None and origin.partition(b"://")[2] != host:
            name = origin.decode("latin-1")
            return 403, (
                f'a page of "{name}" may not ask this service; give it a token= to '
                "have it answer others"
            )
        return None


def _name(host: bytes) -> str:
    try:
        return (urlsplit(b"//" + host).hostname or b"").decode("latin-1")
    except ValueError:
        return ""
