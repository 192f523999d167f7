"""How submissions look in charts: a colour, a dash pattern and a marker each.

Colours: Okabe and Ito (2008), told apart by colour-blind people; page.css has a lighter
set for dark mode. The ninth submission has the first colour again, dashed and square.
"""

from scoring.web.markup import Markup, el

COLOURS = 8
# More lines than this are a tangle: charts show the best ones.
MOST_SHOWN = 20
_DASHES = (None, "6 3", "2 2")


def dashes(place: int) -> str | None:
    """The dash pattern of the submission at a place of the leaderboard, from 0."""
    return _DASHES[place // COLOURS % len(_DASHES)]


def series(
    place: int, name: str, *children: Markup, class_: str = "", **attributes: str | None
) -> Markup:
    """What belongs to one submission in a chart: page.js hides and names it."""
    return el(
        "g",
        *children,
        class_=f"c{place % COLOURS} {class_}".rstrip(),
        data_s=place,
        data_name=name,
        **attributes,
    )


def line(kind: str, place: int, title: str, **where: str) -> Markup:
    """A path or polyline of a submission, with a text that shows on hovering."""
    text = el("title", title)
    return el(kind, text, class_="line", stroke_dasharray=dashes(place), **where)


def shape(
    place: int,
    x: float,
    y: float,
    title: str | None = None,
    size: float = 4.0,
    **attributes: int | None,
) -> Markup:
    """A dot, square or triangle with a text that shows on hovering."""
    kind = place // COLOURS % 3
    text = None if title is None else el("title", title)
    if kind == 0:
        where = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": f"{size:g}"}
        return el("circle", text, **where, **attributes)
    half = size * 0.9
    corners = [(-half, half), (half, half), (half, -half), (-half, -half)]
    if kind == 2:
        corners = [(-size, half), (size, half), (0, -size)]
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return el("polygon", text, points=points, **attributes)


def marker(place: int, x: float, y: float) -> Markup:
    """The shape of a submission in its colour, outside of charts."""
    return el("g", shape(place, x, y), class_=f"c{place % COLOURS} dots")


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
                disabled=True,  # page.js enables it
                data_hide=place,
                aria_pressed="true",
            ),
        )
        for place, name in enumerate(names)
    ]
    return el("ul", *items, class_="legend", aria_label="Submissions shown in charts")


def swatch(place: int) -> Markup | None:
    """A short line with the marker, as in the charts; None for those not in them."""
    if place >= MOST_SHOWN:
        return None
    pattern = {"class_": f"c{place % COLOURS}", "stroke_dasharray": dashes(place)}
    line = el("line", x1=0, x2=26, y1=6, y2=6, stroke_width=2, **pattern)
    look = {"width": 26, "height": 12, "viewBox": "0 0 26 12", "aria_hidden": "true"}
    return el("svg", line, marker(place, 13, 6), class_="swatch", **look)
