"""Secret: a name that everybody may see, and a value that only runs get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, Optional

from pybridge.errors import BadArgument
from pybridge.functions.entity import Entity, draft
from pybridge.functions.extras import models

if TYPE_CHECKING:
    from pybridge.functions.store import Store

__all__ = ["Secret", "drafted", "new"]


class Secret(Entity):
    """A secret of a project; its value is in no entry, export or message."""

    TYPE = "secret"
    SPEC = ("path", "provider")

    def set_secret_value(self, value: str) -> None:
        """Keep a value.

        Raises:
            BadArgument: it is no text.

        """
        _check(self.name, value)
        self.store.set_secret(self.project, self.name, value)

    def read_secret_value(self) -> str:
        """Return the value.

        Raises:
            BadArgument: it has none yet.

        """
        value = self.store.secret(self.project, self.name)
        if value is None:
            raise BadArgument(
                f"secret '{self.name}' has no value yet; give it one with "
                "set_secret_value"
            )
        return value

    def delete(self) -> bool:
        """Remove it from the store, and its value if no other version is left."""
        gone = super().delete()
        if not self.store.find(self.project, "secret", name=self.name):
            self.store.delete_secret(self.project, self.name)
        return gone


def new(
    store: Store,
    project: str,
    fields: Mapping[str, Any],
    secret_value: Optional[str] = None,
) -> Secret:
    """Make a secret, checked, and store it with its value if there is one.

    A name stands for one secret: made again, it is the same one with a new value.

    Raises:
        Faults: something given is unknown, missing or wrong.
        BadArgument: the value is no text.

    """
    entry = drafted(project, fields)
    name = entry["name"]
    if secret_value is not None:
        _check(name, secret_value)
    found = store.find(project, "secret", name=name)
    if found and fields.get("uuid") in {None, found[-1]["id"]}:
        secret = Secret(found[-1], store)
    else:
        secret = Secret(entry, store)
        store.create(entry)
    if secret_value is not None:
        secret.set_secret_value(secret_value)
    return secret


def drafted(
    project: str, fields: Mapping[str, Any], what: str = "new_secret"
) -> dict[str, Any]:
    """Return the entry of a new secret, checked; it is not stored yet.

    Raises:
        Faults: something given is unknown, missing or wrong.

    """
    specs = models()
    given = specs.check(what, specs.SecretFields, fields)
    return draft(
        "secret",
        "secret",
        project=project,
        name=given["name"],
        uuid=given.get("uuid"),
        spec={
            "path": given.get("path") or f"secret://{given['name']}",
            "provider": given.get("provider") or "pybridge",
        },
        metadata={k: given.get(k) for k in ("description", "labels", "embedded")},
    )


def _check(name: str, value: object) -> None:
    """Check a value, of which nothing may be shown.

    Raises:
        BadArgument: it is no text, or one that no variable can have.

    """
    if not isinstance(value, str) or not value:
        kind = "empty" if value == "" else type(value).__name__
        raise BadArgument(f"the value of secret '{name}' is {kind}; give a text")
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise BadArgument(
            f"the value of secret '{name}' has a character that no environment can "
            "have (NUL, or half of a surrogate pair); leave it away"
        )
