"""Two functions: one fits a model of the delays of flights, one serves it.

They are plain Python: what declares, runs and serves them is demo.py beside this file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pybridge.functions import handler

INPUTS = ["dep_delay", "hour", "distance"]


class Delays:
    """A linear model of the delay on arrival."""

    def __init__(self, weights: np.ndarray) -> None:
        """Take the weights of the inputs, and of one."""
        self.weights = weights

    def predict(self, flights: pd.DataFrame) -> np.ndarray:
        """Return the minutes that flights will be late."""
        inputs = flights[INPUTS].to_numpy(float)
        design = np.column_stack([inputs, np.ones(len(inputs))])
        minutes: np.ndarray = design @ self.weights
        return minutes


@handler(outputs=["model", "predicted", "r2", "picture"], strict=True)
def train(
    flights: pd.DataFrame, test: int = 5
) -> tuple[Delays, pd.DataFrame, float, Path]:
    """Fit the model to all flights but one in `test`, and try it on those."""
    known = flights.dropna(subset=[*INPUTS, "arr_delay"]).reset_index(drop=True)
    held_out = known.index % test == 0
    seen, unseen = known[~held_out], known[held_out]
    print(f"fitting {len(seen):,} flights")
    design = np.column_stack([seen[INPUTS].to_numpy(float), np.ones(len(seen))])
    model = Delays(np.linalg.lstsq(design, seen["arr_delay"].to_numpy(float))[0])
    predicted = unseen[["carrier", "origin", "dest", *INPUTS, "arr_delay"]].assign(
        predicted=model.predict(unseen).round(1)
    )
    error = predicted["arr_delay"] - predicted["predicted"]
    r2 = float(1 - error.var() / predicted["arr_delay"].var())
    print(f"R² = {r2:.3f} on the other {len(unseen):,}")
    return model, predicted, r2, picture(predicted, r2)


def predict(
    model: Delays, dep_delay: float, hour: int = 12, distance: float = 1000
) -> dict[str, float]:
    """Say how late a flight will arrive."""
    flight = pd.DataFrame([[dep_delay, hour, distance]], columns=INPUTS)
    return {"minutes": round(float(model.predict(flight)[0]), 1)}


def picture(predicted: pd.DataFrame, r2: float) -> Path:
    """Draw what was predicted against what came."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.2, 6.2), layout="constrained")
    drawn = axes.hexbin(
        predicted["predicted"],
        predicted["arr_delay"],
        gridsize=70,
        extent=(-60, 240, -60, 240),
        bins="log",
        mincnt=1,
        cmap="Blues",
    )
    axes.plot([-60, 240], [-60, 240], color="#c44e52", linewidth=1.2)
    axes.annotate("as predicted", (168, 180), rotation=41, color="#c44e52", fontsize=9)
    axes.set_xlabel("predicted delay on arrival (minutes)")
    axes.set_ylabel("delay on arrival (minutes)")
    axes.set_title(
        f"Flights from New York City, 2013: how late, and how late was foreseen\n"
        f"{len(predicted):,} flights that the model has not seen, R² = {r2:.2f}",
        loc="left",
        fontsize=11,
        pad=10,
    )
    axes.spines[["top", "right"]].set_visible(False)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.7, label="flights")
    bar.outline.set_visible(False)
    place = Path("delays.png")
    figure.savefig(place, dpi=150)
    return place
