"""How submissions look in charts: a colour, a dash pattern and a marker each.

Colours: Okabe and Ito (2008), told apart by colour-blind people; page.css has a lighter
set for dark mode. The ninth submission has the first colour again, dashed and square.
"""

from scoring.web.markup import Markup, el

COLOURS = 8
# More lines than this are a tangle: charts show the best ones.
MOST_SHOWN = 20
_DASHES = (None, "6 3", "2 2")


def style(place: int) -> dict[str, str | int | None]:
    """Attributes of a line of the submission at a place of the leaderboard, from 0."""
    return {
        "class_": f"c{place % COLOURS}",
        "data_s": place,
        "stroke_dasharray": _DASHES[place // COLOURS % len(_DASHES)],
    }


def marker(place: int, x: float, y: float, title: str, size: float = 4.0) -> Markup:
    """A dot, square or triangle with a text that shows on hovering."""
    shape = place // COLOURS % 3
    look = {"class_": f"c{place % COLOURS} dot", "data_s": place}
    text = el("title", title)
    if shape == 0:
        return el("circle", text, cx=f"{x:.1f}", cy=f"{y:.1f}", r=size, **look)
    half = size * 0.9
    corners = [(-half, half), (half, half), (half, -half), (-half, -half)]
    if shape == 2:
        corners = [(-size, half), (size, half), (0, -size)]
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return el("polygon", text, points=points, **look)


def legend(names: list[str]) -> Markup:
    """Buttons that hide a submission in all charts; plain names without JavaScript."""
    items = [
        el(
            "li",
            el(
                "button",
                swatch(place),
                name,
                type="button",
                data_hide=place,
                aria_pressed="true",
            ),
        )
        for place, name in enumerate(names)
    ]
    return el("ul", *items, class_="legend", aria_label="Submissions shown in charts")


def swatch(place: int) -> Markup:
    """A short line with the marker, as in the charts."""
    line = el("line", x1=0, x2=26, y1=6, y2=6, stroke_width=2, **style(place))
    dot = marker(place, 13, 6, "")
    look = {"width": 26, "height": 12, "viewBox": "0 0 26 12", "aria_hidden": "true"}
    return el("svg", line, dot, class_="swatch", **look)
