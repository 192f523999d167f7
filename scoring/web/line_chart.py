"""Lines over a number, one a submission: runlength profiles, tuning curves."""

from collections.abc import Sequence

from scoring.web.axes import Frame, axes, chart, polyline
from scoring.web.look import MOST_SHOWN, line, series, shape
from scoring.web.markup import Markup


def line_chart(
    label: str,
    x_label: str,
    y_label: str,
    lines: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    dots: bool = False,
) -> Markup:
    """Lines of (submission, xs, ys), best submission first; y from 0 to 1.

    Args:
      dots: mark the points, for few of them.
    """
    lines = lines[:MOST_SHOWN]
    every = [x for _, xs, _ in lines for x in xs]
    frame = Frame(500, 300, min(every), max(every), 0.0, 1.0)
    whole = max(every) > 1.0
    drawn = []
    for place, (name, xs, ys) in enumerate(lines):
        title = f"{ys[-1]:.4f} in the end"
        path = line("polyline", place, title, points=polyline(frame, xs, ys))
        points = [
            shape(place, frame.x(x), frame.y(y), f"{y:.4f} at {x:g}", 3.5)
            for x, y in zip(xs, ys, strict=True)
        ]
        drawn.append(series(place, name, path, *(points if dots else ())))
    ground = axes(frame, x_label, y_label, whole=whole)
    return chart(frame, label, ground, *drawn)
