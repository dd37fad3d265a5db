"""Security: what a pod and its containers may not do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

if TYPE_CHECKING:
    from pybridge.functions.manifests.settings import Settings

__all__ = ["of_container", "of_pod"]


def of_pod(settings: Settings) -> Dict[str, Any]:
    """Return the security context of a pod: not root, unless the settings say so."""
    return {
        "runAsNonRoot": settings.run_as_non_root,
        "runAsUser": settings.user,
        "runAsGroup": settings.group,
        "fsGroup": settings.group,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def of_container(settings: Settings) -> Dict[str, Any]:
    """Return the security context of a container: what it has can only become less."""
    made: Dict[str, Any] = {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    if settings.read_only_root:
        made["readOnlyRootFilesystem"] = True
    return made
