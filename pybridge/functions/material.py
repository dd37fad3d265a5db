"""Material: entities with files, which are dataitems, artifacts and models."""

from __future__ import annotations

from pybridge.functions.entity import Entity

__all__ = ["Artifact", "Dataitem", "Model"]


class Artifact(Entity):
    """A file, or several, of any kind."""

    TYPE = "artifact"


class Dataitem(Entity):
    """A table."""

    TYPE = "dataitem"


class Model(Entity):
    """A model, and what is known about it."""

    TYPE = "model"
