"""Placement: on which machines of a cluster a run may be, in all spellings.

Kept are lists of dicts for `node_selector` and `tolerations`, with camelCase inside, as
inside `affinity`: so Kubernetes wants them.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Dict, List, Literal, Mapping, Optional

from pydantic import BeforeValidator, Field, model_validator

from pybridge.functions.fields import (
    Camel,
    Fields,
    Text,
    Texts,
    matching,
    pairs,
    several,
)

__all__ = ["Affinity", "NodeSelector", "Tolerations"]

_LABEL = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
)
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")


# ---- Node selector -------------------------------------------------------------------


Label = Annotated[
    str,
    matching(
        _LABEL,
        "is not the name of a label; write 'name' or 'domain/name' of letters, digits, "
        "'-', '_' and '.'",
    ),
]
LabelValue = Annotated[
    str,
    matching(
        _VALUE,
        "is not the value of a label; write up to 63 letters, digits, '-', '_' and '.'",
    ),
]


class Selector(Fields):
    """A label that the node has to have."""

    key: Label
    value: LabelValue


NodeSelector = Annotated[
    List[Selector],
    BeforeValidator(pairs("key")),
    Field(description="a list such as [{'key': 'disktype', 'value': 'ssd'}]"),
]


# ---- Affinity ------------------------------------------------------------------------


class Expression(Camel):
    """What is required of one label of a node."""

    key: Text
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    values: Optional[Texts] = None

    @model_validator(mode="after")
    def _compare(self) -> Expression:
        """Check that values are there where the operator has some."""
        _check_values(self.operator, self.values)
        return self


class LabelExpression(Camel):
    """What is required of one label of a pod."""

    key: Text
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: Optional[Texts] = None

    @model_validator(mode="after")
    def _compare(self) -> LabelExpression:
        """Check that values are there where the operator has some."""
        _check_values(self.operator, self.values)
        return self


def _check_values(operator: str, values: Optional[List[str]]) -> None:
    """Check that an expression has the values that its operator wants."""
    if operator in {"Exists", "DoesNotExist"} and values:
        raise ValueError(f"has values, which the operator '{operator}' has not")
    if operator in {"In", "NotIn"} and not values:
        raise ValueError(f"has no values, which the operator '{operator}' compares to")
    if operator in {"Gt", "Lt"} and (
        values is None or len(values) != 1 or not re.fullmatch(r"-?\d+", values[0])
    ):
        raise ValueError(f"wants one whole number as value for '{operator}'")


class NodeTerm(Camel):
    """Requirements of a node that belong together."""

    match_expressions: Optional[List[Expression]] = None
    match_fields: Optional[List[Expression]] = None


class NodeTerms(Camel):
    """Terms of which a node has to meet one."""

    node_selector_terms: Annotated[List[NodeTerm], Field(min_length=1)]


def _term(given: Any) -> Any:
    """Take a selector of one term for its term: the original's model wants one."""
    if isinstance(given, Mapping) and len(given) == 1:
        terms = given.get("node_selector_terms", given.get("nodeSelectorTerms"))
        if isinstance(terms, list) and len(terms) == 1:
            return terms[0]
    return given


Weight = Annotated[int, Field(ge=1, le=100)]


class PreferredNode(Camel):
    """A term, and how much it counts."""

    preference: Annotated[NodeTerm, BeforeValidator(_term)]
    weight: Weight


class NodeAffinity(Camel):
    """Which nodes."""

    required_during_scheduling_ignored_during_execution: Optional[NodeTerms] = None
    preferred_during_scheduling_ignored_during_execution: Optional[
        List[PreferredNode]
    ] = None


class Selection(Camel):
    """Which objects, by their labels."""

    match_labels: Optional[Dict[Label, LabelValue]] = None
    match_expressions: Optional[List[LabelExpression]] = None


class PodTerm(Camel):
    """Which pods, and within what they count as near."""

    topology_key: Text
    label_selector: Optional[Selection] = None
    match_label_keys: Optional[Texts] = None
    mismatch_label_keys: Optional[Texts] = None
    namespace_selector: Optional[Selection] = None
    namespaces: Optional[Texts] = None


class PreferredPod(Camel):
    """A term, and how much it counts."""

    pod_affinity_term: PodTerm
    weight: Weight


class PodAffinity(Camel):
    """Which pods to be near to, or not."""

    required_during_scheduling_ignored_during_execution: Optional[List[PodTerm]] = None
    preferred_during_scheduling_ignored_during_execution: Optional[
        List[PreferredPod]
    ] = None


class Affinity(Camel):
    """Where to run, and where not."""

    node_affinity: Optional[NodeAffinity] = None
    pod_affinity: Optional[PodAffinity] = None
    pod_anti_affinity: Optional[PodAffinity] = None


# ---- Tolerations ---------------------------------------------------------------------


class Toleration(Camel):
    """A taint of nodes that is tolerated."""

    key: Optional[Label] = None
    operator: Optional[Literal["Exists", "Equal"]] = None
    value: Optional[LabelValue] = None
    effect: Optional[Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]] = None
    toleration_seconds: Optional[int] = None

    @model_validator(mode="after")
    def _compare(self) -> Toleration:
        """Refuse what Kubernetes would refuse."""
        if not self.key and self.operator != "Exists":
            raise ValueError("has no key; name one, or write the operator 'Exists'")
        if self.operator == "Exists" and self.value:
            raise ValueError("has a value, which the operator 'Exists' has not")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise ValueError(
                "has toleration_seconds, which only the effect 'NoExecute' has"
            )
        return self


Tolerations = Annotated[
    List[Toleration],
    BeforeValidator(several),
    Field(
        description="a list such as [{'key': 'gpu', 'operator': 'Exists', "
        "'effect': 'NoSchedule'}]"
    ),
]
