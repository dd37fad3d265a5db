"""Specs: what functions, tasks and runs may be made with, checked all at once."""

from __future__ import annotations

from typing import Annotated, Any, Dict, List, Literal, Mapping, Optional

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pybridge.functions import keys
from pybridge.functions.faults import Fault, Faults, nearest, shown

__all__ = [
    "ACTIONS",
    "PYTHON_VERSIONS",
    "BuildFields",
    "FunctionFields",
    "JobFields",
    "RunFields",
    "ServeFields",
    "check",
]

ACTIONS = ("job", "serve", "build")
PYTHON_VERSIONS = (
    "PYTHON3_9",
    "PYTHON3_10",
    "PYTHON3_11",
    "PYTHON3_12",
    "PYTHON3_13",
    "PYTHON3_14",
)


def _listed(value: Any) -> Any:
    """Take a tuple for the list that it is."""
    return list(value) if isinstance(value, tuple) else value


Texts = Annotated[List[str], BeforeValidator(_listed)]
Listed = BeforeValidator(_listed)
Name = Annotated[str, Field(pattern=f"^{keys.NAME}$")]
Identity = Annotated[str, Field(pattern=f"^{keys.ID}$")]


class Fields(BaseModel):
    """What all models have in common: nothing is converted, nothing is overlooked."""

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())


class EntityFields(Fields):
    """What every entity may be made with."""

    name: Name
    kind: str
    uuid: Optional[Identity] = None
    description: Optional[str] = None
    labels: Optional[Texts] = None
    embedded: bool = True


class FunctionFields(EntityFields):
    """What a function may be made with."""

    kind: Literal["python"]
    code_src: Optional[str] = None
    code: Optional[str] = None
    base64: Optional[str] = None
    handler: Optional[str] = None
    init_function: Optional[str] = None
    python_version: Literal[PYTHON_VERSIONS]  # type: ignore[valid-type]
    lang: Optional[str] = None
    image: Optional[str] = None
    base_image: Optional[str] = None
    requirements: Optional[Texts] = None


class RunFields(Fields):
    """What any run may be made with, beside what its action knows."""

    uuid: Optional[Identity] = None
    labels: Optional[Texts] = None
    description: Optional[str] = None
    local_execution: bool = False
    inputs: Optional[Dict[str, Any]] = None
    parameters: Optional[Dict[str, Any]] = None
    init_parameters: Optional[Dict[str, Any]] = None
    timeout: Optional[Annotated[float, Field(gt=0, strict=False)]] = None
    engine: Optional[str] = None
    start_context: Optional[str] = None
    node_selector: Optional[List[Dict[str, Any]]] = None
    volumes: Optional[List[Dict[str, Any]]] = None
    resources: Optional[Dict[str, Any]] = None
    affinity: Optional[Dict[str, Any]] = None
    tolerations: Optional[List[Dict[str, Any]]] = None
    envs: Optional[List[Dict[str, str]]] = None
    secrets: Optional[Texts] = None
    profile: Optional[str] = None
    runtime_class: Optional[str] = None
    priority_class: Optional[str] = None


class JobFields(RunFields):
    """What a job may be made with."""

    backoff_limit: Optional[Annotated[int, Field(ge=0)]] = None
    schedule: Optional[str] = None


class ServeFields(RunFields):
    """What a service may be made with."""

    replicas: Optional[Annotated[int, Field(ge=0)]] = None
    service_type: Literal["ExternalName", "ClusterIP", "NodePort", "LoadBalancer"] = (
        "NodePort"
    )
    service_name: Optional[str] = None
    host: Optional[str] = None
    port: Optional[Annotated[int, Field(ge=0, le=65535)]] = None


class BuildFields(RunFields):
    """What a build may be made with."""

    instructions: Optional[Texts] = None


BY_ACTION: Mapping[str, type[RunFields]] = {
    "job": JobFields,
    "serve": ServeFields,
    "build": BuildFields,
}


def check(
    what: str, model: type[BaseModel], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields that a model makes of what was given.

    Raises:
        Faults: some are wrong; all of those are told.

    """
    try:
        return model.model_validate(dict(given)).model_dump(exclude_none=True)
    except ValidationError as exc:
        known = list(model.model_fields)
        raise Faults(what, [_fault(error, known) for error in exc.errors()]) from None


def _fault(error: Any, known: list[str]) -> Fault:
    """Return one of pydantic's errors in our words."""
    field = ".".join(str(part) for part in error["loc"])
    value = error["input"]
    if error["type"] == "missing":
        return Fault(field, None, "missing")
    if error["type"] == "extra_forbidden":
        meant = nearest(str(error["loc"][-1]), known)
        hint = f"did you mean '{meant}'?" if meant else f"known are {', '.join(known)}"
        return Fault(field, value, f"unknown; {hint}")
    return Fault(field, value, f"{shown(value)}: {error['msg']}")
