"""Resources: what a run is given of a machine or cluster, in all spellings.

Each is taken as the documents of the original, its code and Kubernetes itself write it,
in snake_case or camelCase, and kept in one form: lists of dicts for `volumes` and
`envs`; requests and limits as texts for each resource; camelCase inside the `spec` of
volumes. Where it is given them is in `placement`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Literal,
    Mapping,
    Optional,
    Union,
)

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    model_validator,
)
from pydantic.alias_generators import to_camel

from pybridge.functions.fields import (
    Camel,
    Fields,
    Name,
    Text,
    matching,
    pairs,
    several,
)

__all__ = [
    "Envs",
    "Resources",
    "Schedule",
    "ServiceType",
    "Volumes",
    "quantity",
]

_QUANTITY = re.compile(
    r"(\d+(?:\.\d*)?|\.\d+)(?:(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)|[eE]([+-]?\d{1,3}))?"
)
_FACTORS = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{letter: Decimal(1000) ** n for n, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Decimal(1024) ** n for n, letter in enumerate("KMGTPE", 1)},
}
_ENV = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")
_CRON_WORDS = (
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
)
_PORTION = r"(?:\*|[0-9A-Za-z]+(?:-[0-9A-Za-z]+)?)(?:/\d+)?"
_CRON = re.compile(
    rf"(?:{_PORTION}(?:,{_PORTION})*)(?:\s+{_PORTION}(?:,{_PORTION})*){{4}}"
)
_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_LONGEST_PATH = 4096


def _renamed(given: Any, other: str, name: str) -> Any:
    """Take another word for a field, where it is not there under its own."""
    if not isinstance(given, Mapping) or other not in given:
        return given
    if name in given or to_camel(name) in given:
        return given
    return {(name if k == other else k): v for k, v in given.items()}


def quantity(text: str) -> Decimal:
    """Return how much a quantity of Kubernetes is: '500m' is a half, '1Ki' 1024.

    Raises:
        ValueError: it is no quantity.

    """
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise ValueError(
            "is not a quantity; write a number with a unit such as m, k, M, G, Ki, Mi "
            "or Gi, as in '500m' or '64Gi'"
        )
    number, unit, exponent = found.groups()
    factor = _FACTORS[unit] if unit else Decimal(10) ** int(exponent or 0)
    return Decimal(number) * factor


# ---- Volumes -------------------------------------------------------------------------


class Item(Camel):
    """A key of a config map or secret, and the file that it becomes."""

    key: Text
    path: Text
    mode: Optional[int] = None


def _size(value: Any) -> str:
    """Return a size as text."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError(  # noqa: TRY004 - what pydantic asks for
            "is not a size; write one such as '128Mi'"
        )
    text = str(value)
    if quantity(text) <= 0:
        raise ValueError("is not more than 0")
    return text


Size = Annotated[str, BeforeValidator(_size)]


def _flag(value: Any) -> Any:
    """Take the text of a flag for the flag: the original's values are texts."""
    return (
        {"true": True, "false": False}.get(value, value)
        if isinstance(value, str)
        else value
    )


Flag = Annotated[bool, BeforeValidator(_flag)]


class ClaimSpec(Camel):
    """The claim of a persistent volume."""

    claim_name: Optional[Text] = None
    read_only: Optional[Flag] = None
    size: Optional[Size] = None


class EmptyDirSpec(Camel):
    """A directory that lives as long as the pod."""

    medium: Optional[Literal["", "Memory", "HugePages"]] = None
    size_limit: Optional[Size] = None

    @model_validator(mode="before")
    @classmethod
    def _size(cls, given: Any) -> Any:
        """Take `size` for the limit that it is."""
        return _renamed(given, "size", "size_limit")


class ConfigMapSpec(Camel):
    """A config map as files."""

    name: Optional[Text] = None
    items: Optional[List[Item]] = None
    default_mode: Optional[int] = None
    optional: Optional[Flag] = None


class SecretSpec(Camel):
    """A secret as files."""

    secret_name: Optional[Text] = None
    items: Optional[List[Item]] = None
    default_mode: Optional[int] = None
    optional: Optional[Flag] = None

    @model_validator(mode="before")
    @classmethod
    def _name(cls, given: Any) -> Any:
        """Take `name` for the secret's."""
        return _renamed(given, "name", "secret_name")


class EphemeralSpec(Camel):
    """A volume that is made for the pod, and goes with it."""

    size: Optional[Size] = None
    storage_class_name: Optional[Text] = None
    access_modes: Optional[
        List[
            Literal[
                "ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"
            ]
        ]
    ] = None


class SharedSpec(Camel):
    """A volume that several pods have."""

    claim_name: Optional[Text] = None
    size: Optional[Size] = None
    storage_class_name: Optional[Text] = None


def _mount_path(text: str) -> str:
    """Check a path."""
    if not text.startswith("/") or ":" in text or "\0" in text:
        raise ValueError(
            "is not a path to mount at; write one from the root, as '/data'"
        )
    if len(text) > _LONGEST_PATH:
        raise ValueError("is too long for a path")
    return text


class Volume(Fields):
    """A volume, and where it is mounted."""

    name: Name
    mount_path: Annotated[
        str, AfterValidator(_mount_path), Field(description="a path, as '/data'")
    ]
    sub_path: Optional[Text] = None
    read_only: Optional[bool] = None


class ClaimVolume(Volume):
    """A persistent volume; its claim has the volume's name where none is given."""

    volume_type: Literal["persistent_volume_claim"]
    spec: Optional[ClaimSpec] = None


class EmptyDirVolume(Volume):
    """A directory that lives as long as the pod."""

    volume_type: Literal["empty_dir"]
    spec: Optional[EmptyDirSpec] = None


class ConfigMapVolume(Volume):
    """A config map as files; it has the volume's name where none is given."""

    volume_type: Literal["config_map"]
    spec: Optional[ConfigMapSpec] = None


class SecretVolume(Volume):
    """A secret as files; it has the volume's name where none is given."""

    volume_type: Literal["secret"]
    spec: Optional[SecretSpec] = None


class EphemeralVolume(Volume):
    """A volume that is made for the pod, and goes with it."""

    volume_type: Literal["ephemeral"]
    spec: Optional[EphemeralSpec] = None


class SharedVolume(Volume):
    """A volume that several pods have."""

    volume_type: Literal["shared_volume"]
    spec: Optional[SharedSpec] = None


_VOLUME_FIELDS = ("volume_type", "name", "mount_path", "spec", "sub_path", "read_only")
_VOLUME_TYPES = (
    "persistent_volume_claim",
    "empty_dir",
    "config_map",
    "secret",
    "ephemeral",
    "shared_volume",
)


def _volume(given: Any) -> Any:
    """Take Kubernetes' own spelling of a volume's fields, and of its type."""
    if not isinstance(given, Mapping):
        return given
    made = _spelled(given, _VOLUME_FIELDS)
    kind = made.get("volume_type")
    if isinstance(kind, str):
        made["volume_type"] = {to_camel(n): n for n in _VOLUME_TYPES}.get(kind, kind)
    return made


def _spelled(given: Mapping[Any, Any], names: Iterable[str]) -> Dict[Any, Any]:
    """Return a dict with the camelCase names of fields in snake_case.

    One that is there in both spellings stays, as a fault: one value would be lost.
    """
    known = {to_camel(name): name for name in names}
    return {
        name if known.get(name, name) in given else known.get(name, name): value
        for name, value in given.items()
    }


Volumes = Annotated[
    List[
        Annotated[
            Union[
                ClaimVolume,
                EmptyDirVolume,
                ConfigMapVolume,
                SecretVolume,
                EphemeralVolume,
                SharedVolume,
            ],
            Field(discriminator="volume_type"),
            BeforeValidator(_volume),
        ]
    ],
    BeforeValidator(several),
    Field(
        description="a list such as [{'volume_type': 'persistent_volume_claim', "
        "'name': 'data', 'mount_path': '/data', 'spec': {'claim_name': 'data'}}]"
    ),
]


# ---- Resources -----------------------------------------------------------------------


def _amount(value: Any) -> Any:
    """Check a quantity, and return it as text."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(  # noqa: TRY004 - what pydantic asks for
            "is not a quantity; write one such as '500m' or '64Gi'"
        )
    text = str(value)
    if quantity(text) < 0:
        raise ValueError("is less than 0")
    return text


def _whole(value: Any) -> Any:
    """Check the quantity of what cannot be shared."""
    text = _amount(value)
    if quantity(text) % 1:
        raise ValueError("is not a whole number, which a GPU is given in")
    return text


def _for_both(amount: Callable[[Any], Any]) -> BeforeValidator:
    """Take one amount, checked once, for both: what is asked for, and the limit."""

    def taken(value: Any) -> Any:
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            return dict.fromkeys(("requests", "limits"), amount(value))
        return value

    return BeforeValidator(taken)


class Amount(Fields):
    """What is asked for of a resource, and the limit."""

    requests: Optional[Annotated[str, BeforeValidator(_amount)]] = None
    limits: Optional[Annotated[str, BeforeValidator(_amount)]] = None

    @model_validator(mode="after")
    def _compare(self) -> Amount:
        """Refuse a limit that is below what is asked for."""
        asked, limit = self.requests, self.limits
        if (
            asked is not None
            and limit is not None
            and quantity(asked) > quantity(limit)
        ):
            raise ValueError(
                f"asks for {asked}, more than its limit {limit}; raise the limit or "
                "ask for less"
            )
        return self


class WholeAmount(Amount):
    """The same, of what is there in whole pieces only."""

    requests: Optional[Annotated[str, BeforeValidator(_whole)]] = None
    limits: Optional[Annotated[str, BeforeValidator(_whole)]] = None


_FORM = "{'requests': '1', 'limits': '2'}, or one amount for both"


class Resources(Fields):
    """What a run is given of the machine."""

    cpu: Annotated[Optional[Amount], _for_both(_amount), Field(description=_FORM)] = (
        None
    )
    mem: Annotated[Optional[Amount], _for_both(_amount), Field(description=_FORM)] = (
        None
    )
    gpu: Annotated[
        Optional[WholeAmount], _for_both(_whole), Field(description=_FORM)
    ] = None
    disk: Annotated[Optional[Amount], _for_both(_amount), Field(description=_FORM)] = (
        None
    )

    @model_validator(mode="before")
    @classmethod
    def _memory(cls, given: Any) -> Any:
        """Take Kubernetes' own word for memory."""
        return _renamed(given, "memory", "mem")


# ---- Environment ---------------------------------------------------------------------


def _env_value(value: Any) -> Any:
    """Take a number for its text."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and "\0" in value:
        raise ValueError("has a zero byte, which no variable can have")
    return value


class Env(Fields):
    """A variable of the environment."""

    name: Annotated[
        str,
        matching(
            _ENV,
            "is not the name of a variable; write letters, digits, '_', '-' and '.', "
            "not beginning with a digit",
        ),
    ]
    value: Annotated[str, BeforeValidator(_env_value), Field(description="a text")]


def _distinct(envs: List[Env]) -> List[Env]:
    """Refuse a variable that is there twice: one value would be lost."""
    names = [env.name for env in envs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"has '{twice[0]}' twice; write each variable once")
    return envs


Envs = Annotated[
    List[Env],
    BeforeValidator(pairs("name")),
    AfterValidator(_distinct),
    Field(description="a list such as [{'name': 'LEVEL', 'value': 'debug'}]"),
]

# ---- The rest ------------------------------------------------------------------------

ServiceType = Literal["ExternalName", "ClusterIP", "NodePort", "LoadBalancer"]


def _cron(text: str) -> str:
    """Check a schedule."""
    told = (
        "is not a schedule; write five parts, as '0 3 * * *' for each day at three, or "
        "one of " + ", ".join(_CRON_WORDS)
    )
    if text in _CRON_WORDS:
        return text
    if not _CRON.fullmatch(text):
        raise ValueError(told)
    for part, (least, most) in zip(text.split(), _CRON_RANGES):
        for number in re.findall(r"(?<![/\dA-Za-z])\d+", part):
            if not least <= int(number) <= most:
                raise ValueError(f"has {number} where {least} to {most} can be")
    return text


Schedule = Annotated[str, AfterValidator(_cron)]
