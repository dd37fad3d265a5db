"""Python inside the process that holds the data.

Everything here is loaded on first use, so that importing the package costs nothing:

    >>> import pybridge
    >>> pybridge.main.evaluate("1 + 1")
    2
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pybridge import (
        columnar,
        context,
        errors,
        host,
        main,
        output,
        serialization,
        snapshot,
        source,
        status,
    )
    from pybridge.errors import (
        BadArgument,
        BridgeError,
        DatabaseError,
        DeadlineExceeded,
        HostError,
        Interrupted,
        NotTrusted,
        RunFailed,
        TooLarge,
        Undefined,
        UnknownSnapshot,
        Unsupported,
    )

__version__ = "0.1.0"

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
    "__version__",
    "columnar",
    "context",
    "errors",
    "host",
    "main",
    "output",
    "serialization",
    "snapshot",
    "source",
    "status",
]

# The import of pybridge.globals hides the function of that name here.
_NAMES = globals()


def __getattr__(name: str) -> object:
    """Load the module, or the error class, on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not importlib, which a plain start of Python does not load.
    if name[0].isupper():
        value: object = getattr(__import__("pybridge.errors").errors, name)
        _NAMES[name] = value
        return value
    __import__(f"pybridge.{name}")
    return _NAMES[name]


def __dir__() -> list[str]:
    """Name also what is not loaded yet."""
    return sorted({*_NAMES, *__all__})
