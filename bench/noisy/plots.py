"""Plots: the quiet tenant's latency over time for each scenario, and tenants at their limit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import matplotlib

from bench.noisy import quiet
from bench.noisy.beside import Beside
from bench.noisy.limits import Limited

matplotlib.use("Agg")

from matplotlib import pyplot

_DPI: Final = 90
_POINT: Final = 3


def plot(
    scenario: str, by_system: Mapping[str, Sequence[Beside]], seconds: float, file: Path
) -> None:
    """Draw the last round of a scenario: systems beside one another, reads above commits."""
    figure, axes = pyplot.subplots(
        len(quiet.KINDS),
        len(by_system),
        figsize=(5 * len(by_system), 6),
        sharex=True,
        sharey="row",
        squeeze=False,
    )
    for column, (system, rounds) in enumerate(by_system.items()):
        for row, kind in enumerate(quiet.KINDS):
            axis = axes[row][column]
            timeline = rounds[-1].timeline[kind]
            axis.axvspan(0, seconds, color="#f3d9d0", zorder=0)
            axis.scatter(*zip(*timeline, strict=True), s=_POINT, color="#20506e")
            axis.set_yscale("log")
            axis.set_title(f"{system}: {kind}", fontsize=10)
            axis.grid(visible=True, alpha=0.3)
        axes[-1][column].set_xlabel("seconds since the noise began")
    for row in axes:
        row[0].set_ylabel("milliseconds")
    figure.suptitle(f"scenario ({scenario}); shaded: beside the noisy tenant")
    figure.tight_layout()
    figure.savefig(file, dpi=_DPI)
    pyplot.close(figure)


def plot_limits(limited: Limited, file: Path) -> None:
    """Draw what a tenant gets at its limit, with the trickle and without it."""
    figure, axis = pyplot.subplots(figsize=(10, 4))
    for name, one in (("with trickle", limited.evenly), ("without", limited.at_once)):
        curve = [point for point in one.curve if point[0] <= limited.at_once.curve[-1][0]]
        axis.plot(*zip(*curve, strict=True), label=name, linewidth=1)
    axis.axhline(limited.evenly.rate_ru_per_s, color="#888888", linestyle="--", label="limit")
    axis.set_xlabel("seconds")
    axis.set_ylabel("request units per second, by the tenth")
    axis.legend()
    axis.grid(visible=True, alpha=0.3)
    figure.suptitle("a tenant at its limit")
    figure.tight_layout()
    figure.savefig(file, dpi=_DPI)
    pyplot.close(figure)
