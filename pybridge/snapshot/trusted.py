"""Whether a snapshot may be loaded: its signature, and what was changed since."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pybridge.errors import BadArgument, NotTrusted
from pybridge.key import Key
from pybridge.snapshot.store import FORMAT

if TYPE_CHECKING:
    from pybridge.snapshot.store import Store

__all__ = ["Manifest", "manifest_of", "require", "state_of"]


@dataclass
class Manifest:
    """What a snapshot says of itself."""

    id: int
    name: str
    text: str
    signature: str
    key: str
    python: str = ""
    magic: str = ""
    module: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    items: dict[str, Any] = field(default_factory=dict)


def manifest_of(store: Store, which: int) -> Manifest:
    """Return the manifest of a snapshot.

    Raises:
        BadArgument: it is of a later format, or is none.

    """
    ((name, form, text, signature, key),) = store.query(
        "select name, format, manifest, signature, key from pybridge_context "
        "where id = ?",
        [which],
    )
    if form != FORMAT:
        raise BadArgument(
            f"snapshot {which} has the format {form}, this pybridge reads {FORMAT}; "
            "use the pybridge that has saved it, or a newer one"
        )
    found = Manifest(which, str(name), str(text), str(signature), str(key))
    try:
        about = json.loads(found.text)
        found.python = str(about["python"])
        found.magic = str(about["magic"])
        found.module = str(about["module"])
        found.packages = {str(k): str(v) for k, v in about["packages"].items()}
        found.items = dict(about["items"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise BadArgument(
            f"the manifest of snapshot {which} cannot be read: {exc!r}"
        ) from None
    return found


def state_of(manifest: Manifest, changed: list[str]) -> tuple[str, list[str]]:
    """Return "own", "unsigned", "changed" or "another key", and what was changed.

    What differs from the manifest is `Contents.changes`.
    """
    if not manifest.signature:
        return "unsigned", changed
    key = Key.own()
    if not key.has_signed(manifest.text, manifest.signature):
        if manifest.key != key.name:
            return "another key", changed
        return "changed", ["its manifest is changed", *changed]
    return ("changed", changed) if changed else ("own", [])


def require(manifest: Manifest, changed: list[str]) -> None:
    """Refuse what is not signed with one's own key, or was changed since.

    Raises:
        NotTrusted: it is; the message says how to trust it.

    """
    state, changed = state_of(manifest, changed)
    if state == "own":
        return
    which = manifest.id
    what = {
        "unsigned": "is not signed",
        "another key": "is signed by another key",
        "changed": f"was changed since it was signed ({'; '.join(changed[:5])})",
    }[state]
    raise NotTrusted(
        f"snapshot {which} '{manifest.name}' {what}, and a pickle can run any code; "
        f"look at inspect({which}), then restore it with trust=True, or sign it with "
        f'"pybridge context trust {which}"; mode "safe" restores its data without code'
    )
