"""Archive: entities as YAML files, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from pybridge.functions.entity import Entity

__all__ = ["dumps", "export"]


def dumps(data: dict[str, Any]) -> str:
    """Return an entry of the store as YAML text."""
    import yaml

    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))


def export(entity: Entity, filename: Optional[str] = None) -> str:
    """Write an entity into a YAML file and return its path."""
    from pathlib import Path

    path = Path(filename or f"{entity.TYPE}s-{entity.id}.yaml")
    path.write_text(dumps(entity.to_dict()), encoding="utf-8")
    return str(path)
