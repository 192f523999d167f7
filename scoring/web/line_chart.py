"""Lines over a number, one a submission: runlength profiles, tuning curves."""

from collections.abc import Sequence

from scoring.web.axes import Frame, axes, chart, polyline
from scoring.web.look import MOST_SHOWN, marker, style
from scoring.web.markup import Markup, el, join


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
    frame = Frame(460, 280, min(every), max(every), 0.0, 1.0)
    drawn: list[Markup] = []
    for place, (name, xs, ys) in enumerate(lines):
        look = dict(style(place))
        drawn.append(
            el(
                "polyline",
                el("title", name),
                points=polyline(frame, xs, ys),
                class_=f"line {look.pop('class_')}",
                **look,
            )
        )
        if dots:
            drawn += [
                marker(place, frame.x(x), frame.y(y), f"{name}: {y:.4f} at {x:g}", 3.0)
                for x, y in zip(xs, ys, strict=True)
            ]
    return chart(frame, label, axes(frame, x_label, y_label), join(drawn))
