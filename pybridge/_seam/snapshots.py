"""The verbs of snapshots as they come from C: texts, where None and "" are nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pybridge import main
from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Callable

    # What is answered: a number, and what becomes the result (text, or made JSON).
    Answer = tuple[int, Any]
    Text = str | None

__all__ = ["run"]

_OPTIONS = {"mode": str, "strict": bool, "trust": bool}


def run(verb: str, context: str, number: int, texts: list[Text]) -> Answer:
    """Do what the verb says."""
    return _VERBS[verb](context, number, *texts)


def _save(
    context: str, number: int, name: Text, mask: Text, description: Text, store: Text
) -> Answer:
    report = main.save_context(
        name or "", mask or "*", number, description or "", context=context, store=store
    )
    return report["id"], report


def _restore(
    context: str, number: int, which: Text, mask: Text, options: Text, store: Text
) -> Answer:
    report = main.restore_context(
        _wanted(which),
        mask or "*",
        bool(number),
        context=context,
        store=store,
        **_options(options),
    )
    return report["id"], report


def _display(context: str, _number: int, which: Text, store: Text) -> Answer:
    return 0, main.display_context(_optional(which), context=context, store=store)


def _describe(context: str, _number: int, which: Text, store: Text) -> Answer:
    return 0, main.describe_context(_optional(which), context=context, store=store)


def _list(_context: str, _number: int, store: Text) -> Answer:
    return 0, main.list_contexts(store=store)


def _search(
    _context: str,
    _number: int,
    name: Text,
    type_: Text,
    text: Text,
    after: Text,
    before: Text,
    store: Text,
) -> Answer:
    found = main.search_contexts(
        name or None,
        type_ or None,
        text or None,
        after or None,
        before or None,
        store=store,
    )
    return 0, found


def _diff(_context: str, _number: int, a: Text, b: Text, store: Text) -> Answer:
    return 0, main.diff_contexts(_wanted(a), _wanted(b), store=store)


def _delete(_context: str, _number: int, which: Text, store: Text) -> Answer:
    return main.delete_context(_wanted(which), store=store), None


def _transfer(
    context: str, _number: int, variables: Text, source: Text, target: Text
) -> Answer:
    report = main.transfer_variables(
        _given(variables, "mask of the variables"), source or context, target or context
    )
    return 0, report


def _export(
    _context: str, _number: int, which: Text, path: Text, store: Text
) -> Answer:
    main.export_context(_wanted(which), _given(path, "path"), store=store)
    return 0, None


def _import(_context: str, _number: int, path: Text, store: Text) -> Answer:
    return main.import_context(_given(path, "path"), store=store), None


def _inspect(_context: str, _number: int, which: Text, store: Text) -> Answer:
    return 0, main.inspect_context(_wanted(which), store=store)


def _verify(_context: str, _number: int, which: Text, store: Text) -> Answer:
    return 0, main.verify_context(_wanted(which), store=store)


def _trust(_context: str, _number: int, which: Text, store: Text) -> Answer:
    return main.trust_context(_wanted(which), store=store), None


_VERBS: dict[str, Callable[..., Answer]] = {
    "save": _save,
    "restore": _restore,
    "display": _display,
    "describe": _describe,
    "list": _list,
    "search": _search,
    "diff": _diff,
    "delete": _delete,
    "transfer": _transfer,
    "export": _export,
    "import": _import,
    "inspect": _inspect,
    "verify": _verify,
    "trust": _trust,
}


def _wanted(which: Text) -> int | str:
    """Return what a snapshot is called: digits are a number, the rest is a name."""
    given = _given(which, "number or name of a snapshot")
    return int(given) if given.isascii() and given.isdecimal() else given


def _optional(which: Text) -> int | str | None:
    return _wanted(which) if which else None


def _given(text: Text, what: str) -> str:
    if not text:
        raise BadArgument(f"the {what} is missing")
    return text


def _options(text: Text) -> dict[str, Any]:
    """Return the options of restoring, each of the type that it has to have."""
    from pybridge import serialization

    if not text or not text.strip():
        return {}
    try:
        options = serialization.loads(text, "json")
    except ValueError as exc:
        raise BadArgument(f"options: {exc}") from None
    if not isinstance(options, dict):
        raise BadArgument('options want a JSON object, for example {"mode": "safe"}')
    for name, value in options.items():
        if name not in _OPTIONS:
            raise BadArgument(
                f"option '{name}' is not known; there are {', '.join(_OPTIONS)}"
            )
        if type(value) is not _OPTIONS[name]:
            wanted = "text" if _OPTIONS[name] is str else "true or false"
            raise BadArgument(f"option '{name}' wants {wanted}, not {value!r}")
    return options
