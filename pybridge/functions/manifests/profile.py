"""Profiles: defaults with a name, from the settings; what the user gives wins."""

from __future__ import annotations

from typing import Annotated, Any, Callable, Dict, List, Mapping, Optional

from pydantic import Field

from pybridge.errors import BadArgument
from pybridge.functions.faults import nearest
from pybridge.functions.fields import Fields, Text, check
from pybridge.functions.placement import Affinity, NodeSelector, Tolerations
from pybridge.functions.resources import Envs, Resources, Volumes

__all__ = ["ProfileFields", "applied"]


class ProfileFields(Fields):
    """What a profile may say."""

    node_selector: Optional[NodeSelector] = None
    volumes: Optional[Volumes] = None
    resources: Optional[Resources] = None
    affinity: Optional[Affinity] = None
    tolerations: Optional[Tolerations] = None
    envs: Optional[Envs] = None
    runtime_class: Optional[Text] = None
    priority_class: Optional[Text] = None
    image: Optional[Text] = None
    backoff_limit: Optional[Annotated[int, Field(ge=0)]] = None
    replicas: Optional[Annotated[int, Field(ge=1)]] = None
    timeout: Optional[Annotated[float, Field(gt=0, strict=False)]] = None


def applied(spec: Mapping[str, Any]) -> Dict[str, Any]:
    """Return a run's spec with what its profile adds.

    Raises:
        BadArgument: there is no such profile, or it is wrong.

    """
    made = dict(spec)
    name = spec.get("profile")
    if not name:
        return made
    for field, default in _profile(str(name)).items():
        own = made.get(field)
        if own is None:
            made[field] = default
        elif field in _MERGED:
            made[field] = _MERGED[field](own, default)
    return made


def _profile(name: str) -> Dict[str, Any]:
    """Return a profile of the settings."""
    known = _section()
    if name not in known:
        meant = nearest(name, list(known))
        hint = f"did you mean '{meant}'? " if meant else ""
        there = ", ".join(f"'{one}'" for one in sorted(known)) or "none"
        raise BadArgument(
            f"profile '{name}' is unknown; {hint}there are {there}: write "
            f"[functions.profiles.{name}] in pybridge.toml"
        )
    given = known[name]
    if not isinstance(given, dict):
        raise BadArgument(f"[functions.profiles] {name} is a table, not {given!r}")
    return check(f"profile '{name}'", ProfileFields, given)


def _section() -> Dict[str, Any]:
    from pybridge import settings

    found = settings.section("functions").get("profiles", {})
    if not isinstance(found, dict):
        raise BadArgument("[functions.profiles] is a table of tables, not a value")
    return found


def _by_name(own: Mapping[str, Any], default: Mapping[str, Any]) -> Dict[str, Any]:
    """Add what is not there: resources one by one, kinds of affinity likewise."""
    return {**default, **own}


def _by(*fields: str) -> Callable[[List[Any], List[Any]], List[Any]]:
    """Return what adds the items of a list whose fields are those of no other."""

    def merge(own: List[Any], default: List[Any]) -> List[Any]:
        there = [tuple(one.get(field) for field in fields) for one in own]
        return [
            *own,
            *(
                one
                for one in default
                if tuple(one.get(field) for field in fields) not in there
            ),
        ]

    return merge


_MERGED: Dict[str, Callable[[Any, Any], Any]] = {
    "resources": _by_name,
    "affinity": _by_name,
    "node_selector": _by("key"),
    "volumes": _by("name"),
    "envs": _by("name"),
    "tolerations": _by("key", "operator", "value", "effect"),
}
