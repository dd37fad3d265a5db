"""The errors of the bridge."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from pybridge import errors
from pybridge.errors import BridgeError, DeadlineExceeded, Interrupted, status_of

HEADER = Path(__file__).parents[2] / "c/include/pybridge.h"
CLASSES = [errors.BadArgument, errors.Undefined, Interrupted, DeadlineExceeded]
NUMBERS = {
    name: int(number)
    for name, number in re.findall(r"X\((\w+), (\d+),", HEADER.read_text())
}


class WebError(Exception):
    """An error of somebody else, whose status means another thing."""

    status = 404


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (errors.BadArgument, "BAD_ARGUMENT"),
        (errors.Undefined, "UNDEFINED"),
        (errors.Unsupported, "UNSUPPORTED"),
        (errors.TooLarge, "TOO_LARGE"),
        (errors.HostError, "HOST"),
        (Interrupted, "INTERRUPTED"),
        (DeadlineExceeded, "DEADLINE"),
    ],
)
def test_status_is_the_number_of_the_contract(
    cls: type[BridgeError], name: str
) -> None:
    """Each class has the number that pybridge.h gives its name."""
    assert NUMBERS[name] == cls.status
    assert NUMBERS[name] == status_of(cls("x"))


@pytest.mark.parametrize(
    ("exc", "name"),
    [
        (ValueError(), "PYTHON"),
        (SystemExit(1), "PYTHON"),
        (BridgeError("x"), "PYTHON"),
        (NameError("x"), "UNDEFINED"),
        (ModuleNotFoundError("x"), "UNDEFINED"),
        (ImportError("x"), "PYTHON"),
        (MemoryError(), "NO_MEMORY"),
        (KeyboardInterrupt(), "INTERRUPTED"),
        (WebError(), "PYTHON"),
    ],
)
def test_status_of_other_exceptions_goes_by_their_kind(
    exc: BaseException, name: str
) -> None:
    """Only the bridge's own `status` counts."""
    assert NUMBERS[name] == status_of(exc)


def test_builtin_bases_let_ordinary_code_catch_them() -> None:
    """Code that knows nothing of the bridge catches what it would expect."""
    assert issubclass(errors.BadArgument, ValueError)
    assert issubclass(errors.Undefined, NameError)
    assert issubclass(errors.Unsupported, TypeError)
    assert issubclass(Interrupted, KeyboardInterrupt)


@pytest.mark.parametrize("cls", [Interrupted, DeadlineExceeded])
def test_raised_into_code_is_not_an_exception(cls: type[BaseException]) -> None:
    """`except Exception` does not hold up what stops the call, and it has a text."""
    assert not issubclass(cls, Exception)
    assert str(cls())
    assert "other" == str(cls("other"))


@pytest.mark.parametrize("cls", CLASSES)
def test_errors_survive_pickle(cls: type[BaseException]) -> None:
    """An error may cross to another process."""
    copy = pickle.loads(pickle.dumps(cls("x")))

    assert cls is type(copy)
    assert ("x",) == copy.args
