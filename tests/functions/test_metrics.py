"""Metrics: how a number joins those before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pybridge.errors import BadArgument
from pybridge.functions.metrics import logged

# before, value, overwrite, single_value, after
JOINED: list[tuple[Any, Any, bool, bool, Any]] = [
    (None, 1, False, False, [1]),
    (None, [1, 2.5], False, False, [1, 2.5]),
    (None, (1, 2), False, False, [1, 2]),
    ([1], 2, False, False, [1, 2]),
    ([1], [2, 3], False, False, [1, 2, 3]),
    ([1], 2, True, False, [2]),
    ([1], [2, 3], True, False, [2, 3]),
    (None, 1, False, True, 1),
    (1, 2, False, True, 1),
    (1, 2, True, True, 2),
    (1, 2, False, False, [1, 2]),
    (None, np.float32(0.5), False, False, [0.5]),
    (None, np.int64(3), False, True, 3),
]


@pytest.mark.parametrize(("before", "value", "overwrite", "single", "after"), JOINED)
def test_metric_is_logged(
    before: Any, value: Any, overwrite: bool, single: bool, after: Any
) -> None:
    """§2.3: appended by default, a list extends, single_value stands by itself."""
    metrics = {} if before is None else {"m": before}

    made = logged({"other": 1, **metrics}, "m", value, overwrite, single)

    assert {"other": 1, "m": after} == made
    assert type(after) is type(made["m"])
    assert metrics == ({} if before is None else {"m": before})


@pytest.mark.parametrize(
    ("key", "value", "single", "told"),
    [
        ("m", "1", False, "metric 'm': '1' is not a number"),
        ("m", True, False, "metric 'm': True is not a number"),
        ("m", [1, None], False, "metric 'm': None is not a number"),
        ("m", float("nan"), False, "metric 'm': nan is not a finite number"),
        ("m", [1], True, "is not a single value"),
        ("", 1, False, "'' is not the name of a metric"),
        (3, 1, False, "3 is not the name of a metric"),
    ],
)
def test_what_is_no_metric_is_refused(
    key: Any, value: Any, single: bool, told: str
) -> None:
    """Field, value and cure are named."""
    with pytest.raises(BadArgument, match=told):
        logged({}, key, value, single_value=single)
