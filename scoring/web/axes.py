"""Axes and scales of the SVG charts."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scoring.web.markup import Markup, el, join


@dataclass(frozen=True)
class Frame:
    """The plotting area of a chart in pixels, and the values at its edges.

    `y_high` is at the top. Values outside of it are drawn outside: clip them.
    """

    width: int
    height: int
    x_low: float
    x_high: float
    y_low: float
    y_high: float
    left: int = 54
    right: int = 18
    top: int = 10
    bottom: int = 38

    def x(self, value: float) -> float:
        """Pixels from the left."""
        inner = self.width - self.left - self.right
        return self.left + inner * _share(value, self.x_low, self.x_high)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        inner = self.height - self.top - self.bottom
        return self.top + inner * (1 - _share(value, self.y_low, self.y_high))


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from low to high."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [step * place for place in range(first, last + 1)]


def short(value: float) -> str:
    """A number for an axis: 12k, 0.25, 3."""
    if abs(value) >= 10_000:
        return f"{value / 1_000:g}k"
    return f"{value:.6g}"


def axes(
    frame: Frame, x_label: str, y_label: str | None = None, whole: bool = False
) -> Markup:
    """Grid lines with numbers, and what they are.

    Args:
      y_label: no lines and numbers for y without, and with "" no label.
      whole: x counts something.
    """
    bottom = frame.height - frame.bottom
    right = frame.width - frame.right
    parts: list[Markup] = []
    for value in ticks(frame.x_low, frame.x_high):
        if whole and value % 1:
            continue
        x = f"{frame.x(value):.1f}"
        parts.append(el("line", x1=x, x2=x, y1=frame.top, y2=bottom, class_="grid"))
        label = el("text", short(value), x=x, y=bottom + 16, text_anchor="middle")
        parts.append(label)
    y_ticks = [] if y_label is None else ticks(frame.y_low, frame.y_high, 4)
    for value in y_ticks:
        y = f"{frame.y(value):.1f}"
        parts.append(el("line", x1=frame.left, x2=right, y1=y, y2=y, class_="grid"))
        place = {"x": frame.left - 6, "y": y, "text_anchor": "end", "dy": "0.35em"}
        parts.append(el("text", short(value), **place))
    middle = (frame.left + right) / 2
    parts.append(
        el("text", x_label, x=middle, y=frame.height - 4, text_anchor="middle")
    )
    if y_label:
        turned = f"translate(12 {(frame.top + bottom) / 2:.0f}) rotate(-90)"
        parts.append(el("text", y_label, transform=turned, text_anchor="middle"))
    return join(parts)


def chart(frame: Frame, label: str, *children: Markup, class_: str = "") -> Markup:
    """An SVG in a container that scrolls by itself on a narrow screen."""
    least = min(frame.width, max(320, 0.62 * frame.width))
    svg = el(
        "svg",
        *children,
        viewBox=f"0 0 {frame.width} {frame.height}",
        role="img",
        aria_label=label,
        # Not wider than drawn: text has the same size in all charts.
        style=f"min-width:{least:.0f}px;max-width:{frame.width}px",
        class_=class_ or None,
    )
    return el("div", svg, class_="scroll")


# Units of `traced` lines in a pixel: whole numbers are short.
FINE = 2


def clipped(frame: Frame, *children: Markup) -> Markup:
    """What is drawn of `traced` lines that may reach beyond the plotting area."""
    width = frame.width - frame.left - frame.right
    height = frame.height - frame.top - frame.bottom
    box = {"x": frame.left, "y": frame.top, "width": width, "height": height}
    view = " ".join(str(FINE * v) for v in (frame.left, frame.top, width, height))
    return el("svg", *children, viewBox=view, **box)


def traced(frame: Frame, xs: Sequence[float], ys: Sequence[float]) -> str:
    """The path of a line inside `clipped`: from each point to the next."""
    points = [
        (round(FINE * frame.x(x)), round(FINE * frame.y(y)))
        for x, y in zip(xs, ys, strict=True)
    ]
    moves = [
        f"{x - last_x}{'' if y < last_y else ' '}{y - last_y}"
        for (last_x, last_y), (x, y) in itertools.pairwise(points)
    ]
    start = "M{},{}".format(*points[0])
    return f"{start}l{' '.join(moves)}" if moves else start


def polyline(frame: Frame, xs: Sequence[float], ys: Sequence[float]) -> str:
    """The points of a line, a tenth of a pixel exact."""
    points = zip(xs, ys, strict=True)
    return " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)


def stairs(frame: Frame, starts: Sequence[float], heights: Sequence[float]) -> str:
    """The path of a function that has each height from each start on, to the edge."""
    path = [f"M{frame.x(frame.x_low):.1f},{frame.y(0.0):.1f}"]
    for start, height in zip(starts, heights, strict=True):
        path.append(f"H{frame.x(start):.1f}V{frame.y(height):.1f}")
    path.append(f"H{frame.x(frame.x_high):.1f}")
    return "".join(path)


def thinned(count: int, most: int, keep: Sequence[int] = ()) -> np.ndarray:
    """Places of at most about `most` of `count` points, evenly, with those to keep."""
    even = np.linspace(0, count - 1, min(count, most)).round().astype(int)
    return np.unique(np.concatenate([even, np.array(keep, dtype=int)]))
