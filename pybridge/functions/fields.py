"""Fields: the base of the models that arguments are checked by, and their faults."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Callable,
    Iterable,
    List,
    Mapping,
    Optional,
    get_args,
    get_origin,
)

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from pybridge.functions import keys
from pybridge.functions.faults import Fault, Faults, nearest, shown

if TYPE_CHECKING:
    import re

__all__ = [
    "Camel",
    "Fields",
    "Identity",
    "Name",
    "Text",
    "Texts",
    "check",
    "listed",
    "matching",
    "one_of",
    "pairs",
    "several",
]

_SEVERAL = 12  # names that a message lists


def listed(value: Any) -> Any:
    """Take a tuple for the list that it is."""
    return list(value) if isinstance(value, tuple) else value


def several(value: Any) -> Any:
    """Take a tuple, and a dict that stands for a list of one, for the list."""
    return [value] if isinstance(value, Mapping) else listed(value)


def pairs(name: str) -> Callable[[Any], Any]:
    """Return what takes a dict of values for the list that is meant, of name and value.

    One that has just these two is a list of one.
    """

    def made(given: Any) -> Any:
        if not isinstance(given, Mapping) or set(given) == {name, "value"}:
            return several(given)
        return [{name: key, "value": value} for key, value in given.items()]

    return made


def matching(pattern: re.Pattern[str], told: str) -> AfterValidator:
    """Return what refuses texts that a pattern does not match; `told` says why."""

    def checked(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(told)
        return text

    return AfterValidator(checked)


Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[List[Text], BeforeValidator(listed)]
Name = Annotated[
    str,
    Field(
        pattern=rf"\A{keys.NAME}\z",
        description="1 to 256 letters, digits, '.', '_', '+' or '-'",
    ),
]
Identity = Annotated[
    str,
    Field(
        pattern=rf"\A{keys.ID}\z",
        description="a UUID, or letters and digits with '-' between them",
    ),
]


class Fields(BaseModel):
    """What all models have in common: nothing is converted, nothing is overlooked.

    The description of a field says what is wanted, as the message of a fault does.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, protected_namespaces=(), populate_by_name=True
    )


class Camel(Fields):
    """A model of Kubernetes' own: either spelling is taken, camelCase is kept."""

    model_config = ConfigDict(alias_generator=to_camel)


def check(
    what: str,
    model: type[BaseModel],
    given: Mapping[str, Any],
    elsewhere: Optional[Mapping[str, str]] = None,
    more: Iterable[Fault] = (),
) -> dict[str, Any]:
    """Return the fields that a model makes of what was given.

    `elsewhere` says of other names where they belong, `more` are faults that were found
    otherwise.

    Raises:
        Faults: some are wrong; all of those are told.

    """
    faults = list(more)
    try:
        made = model.model_validate(dict(given))
    except ValidationError as exc:
        errors = exc.errors(include_url=False)
        faults += [_fault(model, error, elsewhere or {}) for error in errors]
    if faults:
        raise Faults(what, _once(faults))
    return made.model_dump(exclude_none=True, by_alias=True)


def one_of(value: object, known: Iterable[str]) -> str:
    """Return the message about a value that is none of those that there are."""
    names = list(known)
    if len(names) == 1:
        return f"{shown(value)} is unknown; give '{names[0]}'"
    meant = nearest(value, names) if isinstance(value, str) else None
    hint = f"did you mean '{meant}'? " if meant else ""
    listed_ = ", ".join(f"'{name}'" for name in names)
    return f"{shown(value)} is unknown; {hint}there are {listed_}"


def _once(faults: Iterable[Fault]) -> list[Fault]:
    """Return the faults, one for each place: a union has one for each of its kinds."""
    found: dict[str, Fault] = {}
    for fault in faults:
        found.setdefault(fault.field, fault)
    return list(found.values())


def _fault(
    model: type[BaseModel], error: Mapping[str, Any], elsewhere: Mapping[str, str]
) -> Fault:
    """Return one of pydantic's errors in our words."""
    owner, wanted, path = _place(model, error["loc"])
    place = ".".join(path)
    value = error["input"]
    if error["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        return _untold(place, error)
    if error["type"] == "missing":
        return Fault(place, None, f"missing; give {wanted or 'it'}")
    if error["type"] == "extra_forbidden":
        name = path[-1]
        if len(path) > 1:
            return Fault(place, value, _unknown(name, owner, ()))
        said = elsewhere.get(name) or _unknown(name, owner, elsewhere)
        return Fault(place, value, said)
    said = _said(error, value)
    if wanted and error["type"] not in {"value_error", "literal_error"}:
        said = f"{said}; give {wanted}"
    return Fault(place, value, said)


def _untold(place: str, error: Mapping[str, Any]) -> Fault:
    """Return the fault of what does not say which kind of a union it is."""
    context = error["ctx"]
    name = context["discriminator"].strip("'")
    if error["type"] == "union_tag_not_found":
        return Fault(f"{place}.{name}", None, "missing; say which one it is")
    expected = context["expected_tags"].replace("'", "").split(", ")
    return Fault(f"{place}.{name}", context["tag"], one_of(context["tag"], expected))


def _unknown(name: str, owner: type[BaseModel], others: Iterable[str]) -> str:
    """Return the message about a name that a model has not."""
    known = list(owner.model_fields)
    meant = nearest(name, known) or nearest(name, list(others))
    if meant:
        return f"unknown; did you mean '{meant}'?"
    if len(known) > _SEVERAL:
        return "unknown, and nothing has a name like it; leave it away"
    return f"unknown; there are {', '.join(known)}"


def _said(error: Mapping[str, Any], value: object) -> str:
    """Return what is wrong with a value."""
    kind, context = error["type"], error.get("ctx", {})
    text = shown(value)
    if kind == "value_error":
        return f"{text} {context['error']}"
    if kind == "literal_error":
        return one_of(value, _expected(context))
    if kind in _WORDS:
        return f"{text} {_WORDS[kind].format(**context)}"
    return f"{text}: {error['msg'][:1].lower()}{error['msg'][1:]}"


_WORDS = {
    "string_type": "is not a text",
    "string_pattern_mismatch": "is not one",
    "string_too_short": "is empty",
    "bool_type": "is neither True nor False",
    "int_type": "is not a whole number",
    "float_type": "is not a number",
    "list_type": "is not a list",
    "dict_type": "is not a dict",
    "dict_attributes_type": "is not a dict",
    "model_type": "is not a dict",
    "model_attributes_type": "is not a dict",
    "greater_than": "is not more than {gt}",
    "greater_than_equal": "is less than {ge}",
    "less_than_equal": "is more than {le}",
    "too_short": "has less than {min_length}",
    "finite_number": "is not a finite number",
}


def _expected(context: Mapping[str, Any]) -> list[str]:
    """Return the values that pydantic lists: 'a', 'b' or 'c'."""
    return str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")


def _place(
    model: type[BaseModel], location: Iterable[Any]
) -> tuple[type[BaseModel], Optional[str], list[str]]:
    """Return the model that a location ends in, what is wanted there, and the path.

    The kinds of a union, and validators, are steps of a location too; users do not know
    of them.
    """
    owner = model
    annotation: Any = None
    wanted: Optional[str] = None
    inner = [model]
    path: list[str] = []
    for step in location:
        place = next(((m, f) for m in inner for f in _fields(m, step)), None)
        chosen = [m for m in inner if _is_tagged(m, step)]
        if place is not None:
            owner, info = place
            annotation = info.annotation
            wanted = info.description or _described(annotation)
            inner = _models_in(annotation)
        elif len(inner) > 1 and chosen:
            inner = chosen
            continue
        else:
            wanted = _described_inside(annotation)
            if not isinstance(step, int):  # a name that no model has, or a dict's key
                owner = inner[0] if inner else owner
                inner = []
        path.append(str(step))
    return owner, wanted, path


def _described_inside(annotation: Any) -> Optional[str]:
    """Return the description of what is in a list or dict, or None."""
    inner = get_args(annotation)
    if get_origin(annotation) in {list, dict}:
        return _described(inner[-1])
    return next((text for text in map(_described_inside, inner) if text), None)


def _described(annotation: Any) -> Optional[str]:
    """Return the description that is somewhere in an annotation, or None."""
    for part in getattr(annotation, "__metadata__", ()):
        if getattr(part, "description", None):
            return str(part.description)
    if get_origin(annotation) in {list, dict}:
        return None  # it describes what is inside
    found = (_described(inner) for inner in get_args(annotation))
    return next((text for text in found if text), None)


def _fields(model: type[BaseModel], name: object) -> list[Any]:
    """Return the field of that name or alias, if there is one."""
    fields = model.model_fields
    if name in fields:
        return [fields[str(name)]]
    return [field for field in fields.values() if field.alias == name]


def _is_tagged(model: type[BaseModel], tag: object) -> bool:
    """Tell whether that is the value by which a union tells this model."""
    return any((tag,) == get_args(f.annotation) for f in model.model_fields.values())


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that are somewhere in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]
