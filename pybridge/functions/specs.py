"""Specs: what functions, runs and other entities may be made with."""

from __future__ import annotations

from typing import Annotated, Any, Dict, List, Literal, Mapping, Optional, Type

from pydantic import BeforeValidator, Field

from pybridge.functions.faults import Fault
from pybridge.functions.fields import (
    Fields,
    Identity,
    Name,
    Text,
    Texts,
    check,
    listed,
    one_of,
)
from pybridge.functions.resources import (
    Affinity,
    Envs,
    NodeSelector,
    Resources,
    Schedule,
    ServiceType,
    Tolerations,
    Volumes,
)

__all__ = [
    "ACTIONS",
    "PYTHON_VERSIONS",
    "ArtifactFields",
    "BuildFields",
    "DataitemFields",
    "FunctionFields",
    "JobFields",
    "ModelFields",
    "RunFields",
    "SecretFields",
    "ServeFields",
    "check",
    "run_fields",
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
PythonVersion = Literal[
    "PYTHON3_9",
    "PYTHON3_10",
    "PYTHON3_11",
    "PYTHON3_12",
    "PYTHON3_13",
    "PYTHON3_14",
]


class EntityFields(Fields):
    """What every entity may be made with."""

    name: Name
    kind: Text
    uuid: Optional[Identity] = None
    description: Annotated[Optional[str], Field(description="a text")] = None
    labels: Annotated[Optional[Texts], Field(description="a list of texts")] = None
    embedded: bool = True


class FunctionFields(EntityFields):
    """What a function may be made with."""

    kind: Annotated[Literal["python"], Field(description="'python'")]
    code_src: Annotated[Optional[Text], Field(description="a path or an address")] = (
        None
    )
    code: Annotated[Optional[str], Field(description="the source as text")] = None
    base64: Annotated[Optional[str], Field(description="the source in base64")] = None
    handler: Annotated[Optional[str], Field(description="the function's name")] = None
    init_function: Annotated[
        Optional[Text], Field(description="the name of a function of the source")
    ] = None
    python_version: Annotated[
        PythonVersion, Field(description="'PYTHON3_9', 'PYTHON3_10', 'PYTHON3_11' ...")
    ]
    lang: Optional[Text] = None
    image: Annotated[Optional[Text], Field(description="an image, 'name:tag'")] = None
    base_image: Annotated[Optional[Text], Field(description="an image, 'name:tag'")] = (
        None
    )
    requirements: Annotated[
        Optional[Texts], Field(description="a list such as ['numpy', 'pandas>1, <3']")
    ] = None


def _inputs(given: Any) -> Any:
    """Take the key of an entity for the entity."""
    if not isinstance(given, Mapping):
        return given
    return {name: getattr(value, "key", value) for name, value in given.items()}


Seconds = Annotated[float, Field(gt=0, description="seconds, more than 0", strict=True)]
Named = Dict[str, Any]


class RunFields(Fields):
    """What any run may be made with, beside what its action knows."""

    uuid: Optional[Identity] = None
    description: Annotated[Optional[str], Field(description="a text")] = None
    labels: Annotated[Optional[Texts], Field(description="a list of texts")] = None
    local_execution: bool = False
    inputs: Annotated[
        Optional[
            Dict[
                str,
                Annotated[
                    str,
                    Field(description="a key, a name, or the entity itself"),
                ],
            ]
        ],
        BeforeValidator(_inputs),
        Field(description="a dict such as {'di': dataitem.key}"),
    ] = None
    parameters: Annotated[
        Optional[Named], Field(description="a dict such as {'param1': 'some value'}")
    ] = None
    init_parameters: Annotated[
        Optional[Named], Field(description="a dict such as {'param1': 'some value'}")
    ] = None
    timeout: Optional[Seconds] = None
    engine: Annotated[Optional[Text], Field(description="the name of an engine")] = None
    start_context: Annotated[
        Optional[Text], Field(description="the name of a saved context")
    ] = None
    node_selector: Optional[NodeSelector] = None
    volumes: Optional[Volumes] = None
    resources: Annotated[
        Optional[Resources],
        Field(description="a dict such as {'cpu': {'requests': '1', 'limits': '2'}}"),
    ] = None
    affinity: Annotated[
        Optional[Affinity],
        Field(description="a dict with node_affinity, pod_affinity, pod_anti_affinity"),
    ] = None
    tolerations: Optional[Tolerations] = None
    envs: Optional[Envs] = None
    secrets: Annotated[
        Optional[List[Name]],
        BeforeValidator(listed),
        Field(description="a list of names of secrets"),
    ] = None
    profile: Optional[Text] = None
    runtime_class: Optional[Text] = None
    priority_class: Optional[Text] = None


class JobFields(RunFields):
    """What a job may be made with."""

    backoff_limit: Annotated[
        Optional[Annotated[int, Field(ge=0)]],
        Field(description="how many times a job that fails is tried again"),
    ] = None
    schedule: Optional[Schedule] = None


class ServeFields(RunFields):
    """What a service may be made with."""

    replicas: Annotated[
        Optional[Annotated[int, Field(ge=1)]],
        Field(description="a whole number of at least 1; stop() ends a service"),
    ] = None
    service_type: ServiceType = "NodePort"
    service_name: Optional[Name] = None
    host: Optional[Text] = None
    port: Annotated[
        Optional[Annotated[int, Field(ge=0, le=65535)]],
        Field(description="a port, 1 to 65535, or 0 for one that is free"),
    ] = None
    concurrency: Optional[Annotated[int, Field(ge=1)]] = None
    queue_limit: Optional[Annotated[int, Field(ge=0)]] = None
    queue_timeout: Optional[Seconds] = None
    request_timeout: Optional[Seconds] = None
    body_limit: Optional[Annotated[int, Field(ge=0)]] = None
    header_limit: Optional[Annotated[int, Field(ge=1024)]] = None
    read_timeout: Optional[Seconds] = None
    keep_alive: Optional[Seconds] = None
    start_timeout: Optional[Seconds] = None
    drain_timeout: Optional[Seconds] = None
    access_log: Optional[bool] = None
    docs: Optional[bool] = None
    insecure: Optional[bool] = None
    token: Annotated[
        Optional[Name], Field(description="the name of a secret of the project")
    ] = None
    crash_limit: Optional[Annotated[int, Field(ge=0)]] = None
    crash_window: Optional[Seconds] = None


class BuildFields(RunFields):
    """What a build may be made with."""

    instructions: Annotated[
        Optional[Texts],
        Field(description="a list such as ['apt-get install -y git']"),
    ] = None


_BY_ACTION: Dict[str, Type[RunFields]] = {
    "job": JobFields,
    "serve": ServeFields,
    "build": BuildFields,
}


def _elsewhere(action: str) -> Dict[str, str]:
    """Return where the fields belong that an action has not."""
    places = dict.fromkeys(
        FunctionFields.model_fields,
        "belongs to new_function; make the function with it",
    )
    for other, model in _BY_ACTION.items():
        if other != action:
            for name in set(model.model_fields) - set(RunFields.model_fields):
                places[name] = (
                    f"belongs to the action '{other}', and this is '{action}'; leave "
                    f"it away, or run with action='{other}'"
                )
    return places


_ELSEWHERE = {action: _elsewhere(action) for action in ACTIONS}


def run_fields(action: object, given: Mapping[str, Any]) -> Dict[str, Any]:
    """Return what a run of that action is made with.

    Raises:
        Faults: some of it is wrong; all of that is told.

    """
    fields = dict(given)
    more: List[Fault] = []
    misspelt = fields.pop("loacal_execution", None)
    if misspelt is not None:
        if fields.get("local_execution") not in {None, misspelt}:
            more.append(
                Fault(
                    "loacal_execution",
                    misspelt,
                    "says the opposite of local_execution; give the latter alone",
                )
            )
        fields["local_execution"] = misspelt
    if fields.get("local_execution") is None:
        fields.pop("local_execution", None)
    known = action in _BY_ACTION if isinstance(action, str) else False
    if not known:
        more.append(Fault("action", action, one_of(action, ACTIONS)))
    elif action != "job" and fields.get("local_execution") is True:
        more.append(
            Fault(
                "local_execution",
                True,
                f"True is for the action 'job'; leave it away to {action} on this "
                "machine",
            )
        )
    name = str(action) if known else "job"
    return check("run", _BY_ACTION[name], fields, _ELSEWHERE[name], more)


# ---- Data ----------------------------------------------------------------------------


class ArtifactFields(EntityFields):
    """What an artifact may be made with."""

    kind: Literal["artifact"] = "artifact"
    path: Optional[Text] = None


class DataitemFields(EntityFields):
    """What a dataitem may be made with."""

    kind: Literal["table", "dataitem", "iceberg", "croissant"] = "table"
    path: Optional[Text] = None
    schema_: Annotated[Optional[Dict[str, Any]], Field(alias="schema")] = None


class ModelFields(EntityFields):
    """What a model may be made with."""

    kind: Literal["model", "mlflow", "sklearn", "huggingface"] = "model"
    path: Optional[Text] = None
    framework: Optional[str] = None
    algorithm: Optional[str] = None
    base_model: Optional[str] = None
    parameters: Optional[Dict[str, Any]] = None
    metrics: Optional[Dict[str, Any]] = None


class SecretFields(EntityFields):
    """What a secret may be made with; its value is kept elsewhere."""

    kind: Literal["secret"] = "secret"
    path: Optional[Text] = None
    provider: Optional[Text] = None
