"""What a pickle would import, read from its opcodes without loading it."""

from __future__ import annotations

import copyreg
import pickletools
from typing import Any

__all__ = ["UNKNOWN", "globals_of"]

UNKNOWN = "?"
_TEXTS = frozenset({
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE",
    "BINUNICODE", "BINUNICODE8",
})  # fmt: skip
_MARK: Any = object()
_OTHER: Any = object()  # a value that is no text


def globals_of(data: bytes) -> list[tuple[str, str, bool]]:
    """Return module, name, and whether they are known, of all that would be imported.

    Nothing is left out: a name that is only made while the pickle is loaded, and the
    rest of a pickle that cannot be read, are reported as unknown.
    """
    reader = _Reader()
    try:
        for opcode, argument, position in pickletools.genops(data):
            reader.position = position or 0
            reader.step(opcode, argument)
    except Exception as exc:  # whatever a broken pickle makes of the parser
        text = " ".join(str(exc).split())[:100]
        reader.note(UNKNOWN, f"the pickle cannot be read further: {text}", False)
    return list(reader.found)


class _Reader:
    """Follows the stack and the memo as far as texts are concerned."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        # The three objects that all our pickles begin with.
        self.memo: dict[int, Any] = dict.fromkeys(range(3), _OTHER)
        self.found: dict[tuple[str, str, bool], None] = {}
        self.position = 0

    def note(self, module: str, name: str, known: bool = True) -> None:
        self.found[module, name, known] = None

    def pop(self) -> Any:
        if not self.stack:
            raise ValueError(f"the stack is empty at byte {self.position}")
        return self.stack.pop()

    def step(self, opcode: Any, argument: Any) -> None:  # noqa: C901 (one each)
        name = opcode.name
        if name in _TEXTS:
            # A text of bytes becomes a str too, in an encoding that is the loader's.
            self.stack.append(argument if isinstance(argument, str) else _OTHER)
        elif name in {"GLOBAL", "INST"}:
            module, _, attribute = argument.partition(" ")
            self.note(module, attribute)
            if name == "INST":
                self.to_mark()
            self.stack.append(_OTHER)
        elif name == "STACK_GLOBAL":
            attribute, module = self.pop(), self.pop()
            self.note_pair(module, attribute)
            self.stack.append(_OTHER)
        elif name in {"EXT1", "EXT2", "EXT4"}:
            self.extension(argument)
            self.stack.append(_OTHER)
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.top()
        elif name in {"PUT", "BINPUT", "LONG_BINPUT"}:
            self.memo[int(argument)] = self.top()
        elif name in {"GET", "BINGET", "LONG_BINGET"}:
            self.stack.append(self.memo.get(int(argument), _OTHER))
        elif name == "DUP":
            self.stack.append(self.top())
        elif name == "MARK":
            self.stack.append(_MARK)
        elif name == "POP":
            self.pop()
        else:
            self.others(opcode)

    def top(self) -> Any:
        value = self.pop()
        self.stack.append(value)
        return value

    def to_mark(self) -> None:
        while self.pop() is not _MARK:
            pass

    def others(self, opcode: Any) -> None:
        """Do what the tables of the standard library say of an opcode."""
        taken = opcode.stack_before
        if pickletools.markobject in taken:
            self.to_mark()
            taken = taken[: taken.index(pickletools.markobject)]
        for _ in taken:
            self.pop()
        self.stack += [_OTHER] * len(opcode.stack_after)

    def note_pair(self, module: Any, name: Any) -> None:
        known = isinstance(module, str) and isinstance(name, str)
        self.note(
            module if isinstance(module, str) else UNKNOWN,
            name if isinstance(name, str) else UNKNOWN,
            known,
        )

    def extension(self, code: int) -> None:
        registered = copyreg._inverted_registry.get(code)  # type: ignore[attr-defined]  # noqa: SLF001
        if registered is None:
            self.note(UNKNOWN, f"extension code {code}", False)
        else:
            self.note(*registered)
