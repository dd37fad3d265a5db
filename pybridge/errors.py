"""The errors of the bridge; `status` is the number that the host gets to see."""

# ruff: noqa: N818 - the names are those of the contract

from __future__ import annotations

__all__ = [
    "BadArgument",
    "BridgeError",
    "DatabaseError",
    "DeadlineExceeded",
    "HostError",
    "Interrupted",
    "NotTrusted",
    "RunFailed",
    "TooLarge",
    "Undefined",
    "UnknownSnapshot",
    "Unsupported",
    "status_of",
]

# The numbers of PYB_STATUS_MAP in pybridge.h that have no class of their own here.
_NO_MEMORY = 2
_PYTHON = 5
_UNDEFINED = 6
_INTERRUPTED = 9


class BridgeError(Exception):
    """What all errors of the bridge have in common."""

    __module__ = "pybridge"
    status = _PYTHON


class BadArgument(BridgeError, ValueError):
    """An argument is missing or not of the kind that is wanted."""

    __module__ = "pybridge"
    status = 1


class Undefined(BridgeError, NameError):
    """The context has no such variable, function or module."""

    __module__ = "pybridge"
    status = _UNDEFINED


class Unsupported(BridgeError, TypeError):
    """The value has no exact counterpart on the other side."""

    __module__ = "pybridge"
    status = 7


class TooLarge(BridgeError, OverflowError):
    """The value is larger than the other side takes."""

    __module__ = "pybridge"
    status = 8


class DatabaseError(BridgeError, RuntimeError):
    """Another database, or its driver, refused; the words are the driver's own.

    `sqlstate` is the five letters of its kind, or "" where the driver gives none.
    """

    __module__ = "pybridge"

    def __init__(self, message: str = "", sqlstate: str = "") -> None:
        """Keep the words and the SQLSTATE."""
        super().__init__(message)
        self.sqlstate = sqlstate


class HostError(BridgeError, RuntimeError):
    """A service of the host failed, or there is no host."""

    __module__ = "pybridge"
    status = 11


class RunFailed(BridgeError, RuntimeError):
    """A run ended in ERROR; `failure` is what its status says about that."""

    __module__ = "pybridge"

    def __init__(
        self, message: str = "", failure: dict[str, object] | None = None
    ) -> None:
        """Keep the words, and the failure as data: type, message, stage and so on."""
        super().__init__(message)
        self.failure = failure or {}


class UnknownSnapshot(BridgeError, LookupError):
    """The store has no snapshot of that number or name."""

    __module__ = "pybridge"
    status = _UNDEFINED


class NotTrusted(BridgeError, PermissionError):
    """The snapshot is unsigned, changed or signed by another key."""

    __module__ = "pybridge"
    status = 13


class Interrupted(KeyboardInterrupt):
    """The host asked the running code to stop; raised into it from outside.

    It is a KeyboardInterrupt so that code which cleans up after Ctrl-C does so here.
    """

    __module__ = "pybridge"
    status = _INTERRUPTED

    def __str__(self) -> str:
        """Give a text also when raised from C, without arguments."""
        return super().__str__() or "the call was interrupted"


class DeadlineExceeded(BaseException):
    """The call ran longer than its deadline; raised into it from outside."""

    __module__ = "pybridge"
    status = 10

    def __str__(self) -> str:
        """Give a text also when raised from C, without arguments."""
        return super().__str__() or "the call ran longer than its deadline"


def status_of(exc: BaseException) -> int:
    """Return the number of PYB_STATUS_MAP for an exception of any kind.

    Only the bridge's own classes are asked: a `status` on others means something else,
    such as an HTTP status.
    """
    if isinstance(exc, (BridgeError, Interrupted, DeadlineExceeded)):
        return exc.status
    if isinstance(exc, (NameError, ModuleNotFoundError)):
        return _UNDEFINED
    if isinstance(exc, KeyboardInterrupt):
        return _INTERRUPTED
    if isinstance(exc, MemoryError):
        return _NO_MEMORY
    return _PYTHON
