"""Keys: the names of entities, `store://project/type/kind/name:id`, and of code."""

from __future__ import annotations

import os
import re
from typing import NamedTuple, Optional

from pybridge.errors import BadArgument

__all__ = [
    "NAMELESS",
    "TYPES",
    "Key",
    "check_id",
    "check_name",
    "executable",
    "executed_name",
    "format",
    "is_key",
    "new_id",
    "parse",
    "parse_executable",
]

SCHEME = "store://"
TYPES = (
    "project",
    "function",
    "task",
    "run",
    "dataitem",
    "artifact",
    "model",
    "secret",
)
NAMELESS = frozenset({"task", "run"})  # their keys have an id only
NAME = r"[a-zA-Z0-9._+-]{1,256}"
ID = r"[a-zA-Z0-9](?:[a-zA-Z0-9_-]{0,126}[a-zA-Z0-9])?"

_NAME = re.compile(NAME)
_ID = re.compile(ID)
_KIND = re.compile(r"[a-zA-Z0-9.+:_-]{1,64}")
_EXECUTABLE = re.compile(r"([a-z0-9.+:_-]+)://([^/]+)/([^/:]+)(?::([^/:]+))?")
_WANTED = (
    "'store://project/type/kind/name:id', or 'store://project/type/kind/id' "
    "of a run or task"
)


class Key(NamedTuple):
    """The parts of a key; `id` is empty where the newest of that name is meant."""

    project: str
    type: str = "project"
    kind: str = ""
    name: str = ""
    id: str = ""

    def __str__(self) -> str:
        """Return the key as text."""
        if self.type == "project":
            return SCHEME + self.project
        start = f"{SCHEME}{self.project}/{self.type}/{self.kind}/"
        if self.type in NAMELESS:
            return start + self.id
        return f"{start}{self.name}:{self.id}" if self.id else start + self.name


def format(key: Key) -> str:  # noqa: A001 - the counterpart of parse
    """Return a key as text."""
    return str(key)


def is_key(text: object) -> bool:
    """Tell whether this is a text that begins as keys do."""
    return isinstance(text, str) and text.startswith(SCHEME)


def parse(text: object) -> Key:
    """Return the parts of a key.

    Raises:
        BadArgument: it has not the shape of one.

    """
    if not isinstance(text, str) or not text.startswith(SCHEME):
        raise BadArgument(f"{text!r} is not a key; one looks like {_WANTED}")
    parts = text[len(SCHEME) :].split("/")
    if len(parts) == 1 and _NAME.fullmatch(parts[0]):
        return Key(parts[0])
    if len(parts) != 4:
        raise BadArgument(f"'{text}' is not a key; one looks like {_WANTED}")
    project, type_, kind, last = parts
    if type_ not in TYPES or type_ == "project":
        raise BadArgument(
            f"'{text}' is not a key: there is no type '{type_}'; "
            f"the types are {', '.join(TYPES[1:])}"
        )
    name, _, identity = last.partition(":")
    if type_ in NAMELESS:
        # Others write the run of a relationship as <key>:<id>; both are its id.
        name, identity = "", name
    elif not _NAME.fullmatch(name):
        raise BadArgument(f"'{text}' is not a key: its name is wrong; {_RULE_OF_NAMES}")
    if (
        not _NAME.fullmatch(project)
        or not _KIND.fullmatch(kind)
        or (identity and not _ID.fullmatch(identity))
        or (not identity and (type_ in NAMELESS or ":" in last))
    ):
        raise BadArgument(f"'{text}' is not a key; one looks like {_WANTED}")
    return Key(project, type_, kind, name, identity)


_RULE_OF_NAMES = "a name has 1 to 256 letters, digits, '.', '_', '+' or '-'"


def check_name(name: object, what: str = "name") -> str:
    """Return a name if it is one.

    Raises:
        BadArgument: it is not.

    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadArgument(f"{what} {name!r} is not a name; {_RULE_OF_NAMES}")
    return name


def check_id(given: object) -> str:
    """Return an id if it is one.

    Raises:
        BadArgument: it is not.

    """
    if not isinstance(given, str) or not _ID.fullmatch(given):
        raise BadArgument(
            f"uuid {given!r} is not an id; give a UUID, or letters, digits and '-' "
            "between them"
        )
    return given


def new_id() -> str:
    """Return an id that nothing has yet: a UUID of version 4, without its dashes."""
    data = bytearray(
        os.urandom(16)
    )  # the module uuid takes longer to load than all else
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    return data.hex()


def executable(project: str, name: str, id: str, kind: str = "python") -> str:  # noqa: A002
    """Return the text that a run's spec names its function by."""
    return f"{kind}://{project}/{name}:{id}"


def executed_name(text: object) -> str:
    """Return the name of the function in such a text; empty where there is none."""
    return str(text or "").rpartition("/")[2].partition(":")[0]


def parse_executable(text: object) -> Key:
    """Return the key that such a text stands for: of a function, or of a task.

    Raises:
        BadArgument: it has not the shape of one.

    """
    found = _EXECUTABLE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise BadArgument(
            f"{text!r} does not name a function; one looks like "
            "'python://project/function:id'"
        )
    kind, project, name, identity = found.groups()
    return _executed(kind, project, name, identity)


def _executed(kind: str, project: str, name: str, identity: Optional[str]) -> Key:
    """Return the key of what is executed; only a task's kind has an action in it."""
    if "+" in kind:
        return Key(project, "task", kind, "", name)
    return Key(project, "function", kind, name, identity or "")
