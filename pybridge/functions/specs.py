"""Specs: what functions, runs and other entities may be made with."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import (
    Annotated,
    Any,
    Callable,
    Dict,
    List,
    Literal,
    Mapping,
    Optional,
    Tuple,
    Type,
)

from pydantic import AfterValidator, BeforeValidator, Field

from pybridge.functions.faults import Fault, shown
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
from pybridge.functions.placement import Affinity, NodeSelector, Tolerations
from pybridge.functions.resources import (
    Envs,
    Resources,
    Schedule,
    ServiceType,
    Volumes,
)

__all__ = [
    "ACTIONS",
    "BuildFields",
    "FunctionFields",
    "JobFields",
    "RunFields",
    "SecretFields",
    "ServeFields",
    "check",
    "known",
    "run_fields",
]

ACTIONS = ("job", "serve", "build")
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


def _requirement(text: str) -> str:
    """Check a requirement: pip's and uv's options are none, and nothing may be one."""
    if _REQUIREMENT.fullmatch(text) or _PLACE.fullmatch(text):
        return text
    raise ValueError(
        "is not a requirement; write a package, with its version if one is needed, as "
        "'numpy' or 'pandas>1, <3'"
    )


_VERSION = r"(?:===|==|~=|!=|<=|>=|<|>)\s*[^\s,;()=<>!~]+"
_REQUIREMENT = re.compile(
    r"\s*[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\s*(?:\[[A-Za-z0-9._,\s-]*\]\s*)?"
    rf"(?:\(?\s*{_VERSION}(?:\s*,\s*{_VERSION})*\s*,?\s*\)?|@\s*\S+)?\s*(?:;[^\n]*)?"
)
# What lies at an address or path: pip takes it where a name could stand.
_PLACE = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://|\.{0,2}/)\S+|[^\s-]\S*\.(?:whl|tar\.gz|zip)"
)

Requirement = Annotated[
    str, AfterValidator(_requirement), Field(description="a text such as 'numpy>=2'")
]
Image = Annotated[
    str, Field(pattern=r"\A[^\s-]\S*\z", description="an image, 'name:tag'")
]


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
    image: Optional[Image] = None
    base_image: Optional[Image] = None
    requirements: Annotated[
        Optional[List[Requirement]],
        BeforeValidator(listed),
        Field(description="a list such as ['numpy', 'pandas>1, <3']"),
    ] = None


def _inputs(given: Any) -> Any:
    """Take the key of an entity for the entity, and the text of a path for it."""
    if not isinstance(given, Mapping):
        return given
    return {
        name: str(value)
        if isinstance(value, PurePath)
        else getattr(value, "key", value)
        for name, value in given.items()
    }


# More than clocks of threads can wait for is never meant.
Seconds = Annotated[
    float,
    Field(gt=0, le=10**9, allow_inf_nan=False, description="seconds, more than 0"),
]
Parameters = Annotated[
    Optional[Dict[str, Any]],
    Field(description="a dict such as {'param1': 'some value'}"),
]


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
    parameters: Parameters = None
    init_parameters: Parameters = None
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


def known() -> List[str]:
    """Return the names of all that a run of any action may be made with."""
    return [name for model in _BY_ACTION.values() for name in model.model_fields]


def run_fields(
    action: object,
    given: Mapping[str, Any],
    missing: Callable[[List[str]], List[str]],
) -> Dict[str, Any]:
    """Return what a run of that action is made with.

    `missing` says which of the secrets that it names are not there.

    Raises:
        Faults: some of it is wrong; all of that is told.

    """
    fields, more = _spelled(given)
    known = isinstance(action, str) and action in _BY_ACTION
    if not known:
        more.append(Fault("action", action, one_of(action, ACTIONS)))
    elif action != "job" and fields.get("local_execution") is True:
        told = f"True is for the action 'job'; leave it away to {action}"
        more.append(Fault("local_execution", True, told))
    elif action == "serve":
        more += _exposed(fields)
    more += _unknown_engine(fields.get("engine"))
    more += _absent_secrets(fields, missing)
    for name in ("parameters", "init_parameters"):
        more += _encoded(fields, name)
    name = str(action) if known else "job"
    return check("run", _BY_ACTION[name], fields, _ELSEWHERE[name], more)


def _spelled(given: Mapping[str, Any]) -> Tuple[Dict[str, Any], List[Fault]]:
    """Return what was given without the document's own misspelling."""
    fields = dict(given)
    faults = []
    misspelt = fields.pop("loacal_execution", None)
    if misspelt is not None:
        if fields.get("local_execution") not in {None, misspelt}:
            told = "says the opposite of local_execution; give the latter alone"
            faults.append(Fault("loacal_execution", misspelt, told))
        fields["local_execution"] = misspelt
    return {k: v for k, v in fields.items() if v is not None}, faults


def _exposed(fields: Mapping[str, Any]) -> List[Fault]:
    """Return the fault of a service of this machine that everybody could ask."""
    from pybridge.functions.serve import options

    host = fields.get("host")
    if (
        not isinstance(host, str)
        or options.is_loopback(host)
        or fields.get("token") is not None
        or fields.get("insecure")
        or fields.get("engine") == "kubernetes"  # who reaches pods, the cluster says
    ):
        return []
    return [Fault("host", host, options.exposed(host))]


def _unknown_engine(name: object) -> List[Fault]:
    """Return the fault of an engine that there is not."""
    if not isinstance(name, str):
        return []
    from pybridge.functions import engines

    if name in engines.names():
        return []
    return [Fault("engine", name, one_of(name, engines.names()))]


def _absent_secrets(
    fields: Mapping[str, Any], missing: Callable[[List[str]], List[str]]
) -> List[Fault]:
    """Return the faults of secrets that the project has not."""
    given = fields.get("secrets")
    wanted = [("secrets", n) for n in given] if isinstance(given, (list, tuple)) else []
    if fields.get("token") is not None:
        wanted.append(("token", fields["token"]))
    wanted = [(field, name) for field, name in wanted if isinstance(name, str)]
    if not wanted:
        return []
    absent = set(missing([name for _, name in wanted]))
    told = "{} has no value in the project; make it with project.new_secret"
    return [
        Fault(field, name, told.format(shown(name)))
        for field, name in wanted
        if name in absent
    ]


def _encoded(fields: Dict[str, Any], name: str) -> List[Fault]:
    """Put parameters into the form that they are stored in, or return the faults."""
    given = fields.get(name)
    if not isinstance(given, Mapping):
        return []
    made, faults = {}, []
    for key, value in given.items():
        form, told = _form(value)
        made[key] = form
        if told:
            faults.append(Fault(f"{name}.{key}", value, told))
    fields[name] = made
    return faults


def _form(value: Any) -> Tuple[Any, str]:
    """Return what is stored of a value, or why it cannot be."""
    from pybridge.functions import results

    try:
        return results.encode(value), ""
    except results.NotPlain as exc:
        return None, (
            f"{shown(value)} cannot be stored ({exc}); give data, or log it and name "
            "it in inputs"
        )


class SecretFields(EntityFields):
    """What a secret may be made with; its value is kept elsewhere."""

    kind: Literal["secret"] = "secret"
    path: Optional[Text] = None
    provider: Optional[Text] = None
