"""What Kubernetes says of objects: the strict schemas of its newest versions."""

from __future__ import annotations

import functools
from typing import Any

import kubernetes_validate
from kubernetes_validate import utils

VERSIONS = tuple(utils.all_versions()[-3:])
utils.schema_contents = functools.lru_cache(maxsize=64)(utils.schema_contents)


def check(body: dict[str, Any], versions: tuple[str, ...] = VERSIONS) -> None:
    """Validate an object by the schemas of each version; nothing unknown may be in it.

    Raises:
        kubernetes_validate.ValidationError: it is not valid.

    """
    for version in versions:
        kubernetes_validate.validate(body, version, strict=True)
