"""Names: what Kubernetes takes for the name of an object, of whatever it is made."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Mapping

from pybridge.errors import BadArgument

__all__ = ["CRON_JOB", "LONGEST", "dns", "of_run", "service", "variable"]

LONGEST = 63
CRON_JOB = 52  # the jobs of a cron job have eleven letters more
_UUID = re.compile(r"[0-9a-f]{32}")
_DNS = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_HASH = 10


def of_run(run: Mapping[str, Any], prefix: str) -> str:
    """Return the name of an object of a run, as the original writes it.

    An id that is no UUID may be there in several projects: then it is told by both.
    """
    action = run["spec"].get("action") or "job"
    identity = str(run["id"])
    if not _UUID.fullmatch(identity):
        identity = f"{dns(identity, 20)}-{_digest(run['key'])}"
    return f"{prefix}-python-{action}-{identity}"


def dns(text: str, longest: int = LONGEST) -> str:
    """Return a text as a DNS label: the same one if it is one, else never another's."""
    if _DNS.fullmatch(text) and len(text) <= longest:
        return text
    kept = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    kept = kept[: longest - _HASH - 3].rstrip("-")
    start = "" if kept[:1].isalpha() else "x-" if kept else "x"
    return f"{start}{kept}-{_digest(text)}"


def service(given: str) -> str:
    """Return the name of a service that the user has chosen.

    Raises:
        BadArgument: it cannot be the name of a service.

    """
    if not _DNS.fullmatch(given):
        raise BadArgument(
            f"service_name '{given}' cannot be a service's in Kubernetes; write up to "
            "63 lower-case letters, digits and '-', beginning with a letter, such as "
            f"'{dns(given, 40)}'"
        )
    return given


def variable(name: str) -> str:
    """Return the key of a secret in a Secret: what its own name is, where that can be.

    Only letters, digits, '-', '_' and '.' can.
    """
    if re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", name) and set(name) != {"."}:
        return name
    kept = re.sub(r"[^-._a-zA-Z0-9]", "_", name)[:200]
    return f"{kept}-{_digest(name)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH]
