"""Amounts: what a container asks for of cpu, memory, GPUs and disk, and its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from pybridge.functions.manifests.settings import Settings

__all__ = ["of_spec"]


def of_spec(
    resources: Optional[Mapping[str, Any]], settings: Settings
) -> Dict[str, Any]:
    """Return the resources of a container; empty where nothing is said.

    Raises:
        BadArgument: more GPUs are asked for than the limit, or less.

    """
    words = {
        "cpu": "cpu",
        "mem": "memory",
        "gpu": settings.gpu,
        "disk": "ephemeral-storage",
    }
    made: Dict[str, Dict[str, str]] = {"requests": {}, "limits": {}}
    for name, word in words.items():
        amount = dict((resources or {}).get(name) or {})
        if name == "gpu" and amount:
            amount = _whole(amount)
        for side, amounts in made.items():
            if amount.get(side) is not None:
                amounts[word] = str(amount[side])
    return {side: amounts for side, amounts in made.items() if amounts}


def _whole(amount: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the GPUs for both sides: Kubernetes has no others."""
    asked, limit = amount.get("requests"), amount.get("limits")
    if asked is not None and limit is not None and asked != limit:
        raise BadArgument(
            f"resources.gpu asks for {asked} with a limit of {limit}; GPUs are not "
            "shared, so give one amount for both"
        )
    number = asked if limit is None else limit
    return {"requests": number, "limits": number}
