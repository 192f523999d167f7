"""Performance profiles: rho(tau) as exact steps, with a slider over tau."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from scoring.scoreboard import Scoreboard
from scoring.web.axes import Frame, axes, chart, stairs
from scoring.web.look import MOST_SHOWN, line, series, swatch
from scoring.web.markup import Cell, Markup, el, folded, join, table

_TABLE_TAUS = 7


def profile_chart(board: Scoreboard) -> Markup:
    """The chart, the slider that reads it, and the same numbers as a table."""
    names = board.submissions[:MOST_SHOWN]
    frame = Frame(740, 380, 1.0, board.rules.tau_max, 0.0, 1.0)
    lines = [_line(frame, board, place, name) for place, name in enumerate(names)]
    cursor = el("line", id="tau-line", y1=frame.top, y2=frame.height - frame.bottom)
    label = (
        f"Performance profiles of {len(names)} submissions; the table has the numbers"
    )
    drawn = chart(
        frame,
        label,
        axes(frame, "τ: within so many times the best time", "share of workloads ρ(τ)"),
        *lines,
        cursor,
        class_="profile",
    )
    both = el("div", drawn, _slider(board, names, frame), class_="beside")
    return join([both, _numbers(board)])


def _line(frame: Frame, board: Scoreboard, place: int, name: str) -> Markup:
    reached = int(np.isfinite(board.ratios.values[board.ratios.rows.index(name)]).sum())
    title = f"{reached} of {len(board.ratios.columns)} workloads reached"
    path = line("path", place, title, d=_steps(frame, board, name))
    return series(place, name, path)


def _steps(frame: Frame, board: Scoreboard, name: str) -> str:
    """rho(tau) steps up by 1 / n at the ratio of each workload."""
    row = board.ratios.rows.index(name)
    ratios = np.sort(board.ratios.values[row])
    ratios = ratios[ratios <= frame.x_high]
    heights = np.arange(1, len(ratios) + 1) / len(board.ratios.columns)
    return stairs(frame, ratios.tolist(), heights.tolist())


def _slider(board: Scoreboard, names: Sequence[str], frame: Frame) -> Markup:
    """τ by hand: page.js reads the ratios from data-ratios and writes ρ beside it."""
    outputs = []
    for place, name in enumerate(names):
        ratios = board.ratios.values[board.ratios.rows.index(name)]
        listed = " ".join(f"{ratio:.6g}" for ratio in ratios if np.isfinite(ratio))
        outputs.append(
            el(
                "li",
                swatch(place),
                el("span", name, class_="name"),
                el("output", "", data_ratios=listed),
                data_s=place,
            )
        )
    slider = el(
        "input",
        type="range",
        id="tau",
        min=1,
        max=board.rules.tau_max,
        step=0.01,
        value=min(2.0, board.rules.tau_max),
        data_left=frame.left,
        data_right=frame.width - frame.right,
    )
    value = el("output", "", id="tau-value", for_="tau")
    label = el("label", "ρ at τ = ", value, for_="tau")
    count = len(board.ratios.columns)
    rho = el("ul", *outputs, class_="rho", data_workloads=count)
    return el("div", label, slider, rho, class_="js-only tau")


def _numbers(board: Scoreboard) -> Markup:
    taus = np.linspace(1.0, board.rules.tau_max, _TABLE_TAUS).tolist()
    profile = board.profile(taus)
    rows: list[list[Any]] = []
    for name in board.submissions:
        values = profile.values[profile.rows.index(name)].tolist()
        rows.append([name, *(Cell(f"{value:.2f}", value) for value in values)])
    header = ["submission", *(f"τ = {tau:g}" for tau in taus)]
    numbers = table("ρ(τ), the share of workloads", header, rows, sortable=True)
    return folded("The numbers", numbers)
