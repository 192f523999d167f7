"""HTML and SVG, safe by construction: whatever is no markup is escaped."""

import html
from collections.abc import Iterable, Sequence
from typing import Any


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def el(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """An element. Attributes that are None or False are left out, True has no value.

    A trailing underscore goes (`class_`), others become dashes (`data_s`).
    """
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        parts.append(key if value is True else f'{key}="{html.escape(str(value))}"')
    opening = f"<{' '.join(parts)}>"
    if name in ("br", "input", "meta", "link"):
        return Markup(opening)
    return Markup(f"{opening}{join(children)}</{name}>")


def join(children: Iterable[Any]) -> Markup:
    """Children one after the other; None is nothing."""
    return Markup("".join(_escaped(child) for child in children if child is not None))


def _escaped(child: Any) -> str:
    return child if isinstance(child, Markup) else html.escape(str(child))


class Cell:
    """A table cell: what is shown, and the number or text that it sorts by."""

    def __init__(self, shown: Any, sort: Any = None, left: bool = False):
        self.shown, self.sort, self.left = shown, sort, left


def table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    sortable: bool = False,
    left: int = 1,
) -> Markup:
    """A table in a container that scrolls by itself on a narrow screen.

    Args:
      left: how many of the first columns are left-aligned; the first names its row.
    """
    cells = [
        [one if isinstance(one, Cell) else Cell(one) for one in row] for row in rows
    ]
    to_left = {place for row in cells for place, cell in enumerate(row) if cell.left}
    to_left |= set(range(left))
    heads = [
        el(
            "th",
            el("button", name, type="button") if sortable else name,
            scope="col",
            class_="l" if place in to_left else None,
        )
        for place, name in enumerate(header)
    ]
    body = [
        el("tr", *(_cell(cell, place, to_left) for place, cell in enumerate(row)))
        for row in cells
    ]
    whole = el(
        "table",
        el("thead", el("tr", *heads)),
        el("tbody", *body),
        class_="sortable" if sortable else None,
        aria_label=caption,
    )
    # The caption stands outside of what scrolls, and so wraps on a phone.
    look = {
        "class_": "scroll",
        "tabindex": "0",
        "role": "region",
        "aria_label": caption,
    }
    return el("div", el("p", caption, class_="caption"), el("div", whole, **look))


def _cell(cell: Cell, place: int, to_left: set[int]) -> Markup:
    return el(
        "th" if place == 0 else "td",
        cell.shown,
        scope="row" if place == 0 else None,
        class_="l" if place in to_left else None,
        data_v=f"{cell.sort:.6g}" if isinstance(cell.sort, float) else cell.sort,
    )


def section(anchor: str, title: str, *children: Any) -> Markup:
    """A part of the page with a heading."""
    heading = el("h2", title, id=f"{anchor}-title")
    return el(
        "section", heading, *children, id=anchor, aria_labelledby=f"{anchor}-title"
    )


def folded(summary: str, *children: Any) -> Markup:
    """What is shown only to those who open it."""
    return el("details", el("summary", summary), *children)
