"""HTML and SVG, safe by construction: whatever is no markup is escaped."""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

# Elements of SVG that may end without an end tag; those of HTML may not.
_SHAPES = ("circle", "line", "path", "polygon", "polyline", "rect")
# Longer names than this wrap in tables, so that numbers stay in view.
_LONGEST = 24


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
    if name in _SHAPES and not children:
        return Markup(f"{opening[:-1]}/>")
    return Markup(f"{opening}{join(children)}</{name}>")


def join(children: Iterable[Any]) -> Markup:
    """Children one after the other; None is nothing."""
    return Markup("".join(_escaped(child) for child in children if child is not None))


def _escaped(child: Any) -> str:
    return child if isinstance(child, Markup) else html.escape(str(child))


@dataclass(frozen=True)
class Cell:
    """A table cell: what is shown, and the number or text that it sorts by.

    `share`, from 0 to 1, is drawn behind the text as a bar.
    """

    shown: Any
    sort: Any = None
    left: bool = False
    share: float | None = None


@dataclass(frozen=True)
class Column:
    """The head of a table's column; `class_` is on its cells too."""

    name: str
    class_: str | None = None


def table(
    caption: str,
    header: Sequence[str | Column],
    rows: Iterable[Sequence[Any]],
    *,
    sortable: bool = False,
    class_: str = "",
) -> Markup:
    """A table in a container that scrolls by itself on a narrow screen.

    The first cell of a row is its name.
    """
    columns = [Column(one) if isinstance(one, str) else one for one in header]
    cells = [
        [one if isinstance(one, Cell) else Cell(one) for one in row] for row in rows
    ]
    lefts = {place for row in cells for place, cell in enumerate(row) if cell.left}
    heads = [_head(column, sortable) for column in columns]
    body = [el("tr", *(map(_cell, row, columns, range(len(row))))) for row in cells]
    # Alignment by column, and not by cell: tables of a thousand rows stay small.
    classes = [f"l{place + 1}" for place in sorted(lefts)]
    classes += ["sortable"] * sortable + [class_] * bool(class_)
    whole = el(
        "table",
        el("thead", el("tr", *heads)),
        el("tbody", *body),
        class_=" ".join(classes) or None,
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


def _head(column: Column, sortable: bool) -> Markup:
    # page.js enables the button: without JavaScript there is nothing to press.
    button = el("button", column.name, type="button", disabled=True)
    shown = button if sortable else column.name
    classes = " ".join(filter(None, (column.class_, _wraps(column.name))))
    return el("th", shown, scope="col", class_=classes or None)


def _wraps(name: str) -> str | None:
    return "long" if len(name) > _LONGEST else None


def _cell(cell: Cell, column: Column, place: int) -> Markup:
    sort = f"{cell.sort:.6g}" if isinstance(cell.sort, float) else cell.sort
    bar = None if cell.share is None else f"--v:{min(1.0, cell.share):.3g}"
    wraps = None if place else _wraps(str(cell.shown if sort is None else sort))
    classes = " ".join(filter(None, (column.class_, bar and "share", wraps)))
    return el(
        "td" if place else "th",
        cell.shown,
        scope=None if place else "row",
        class_=classes or None,
        style=bar,
        data_v=None if sort == str(cell.shown) else sort,
    )


def listed(names: Sequence[str], most: int = 12) -> str:
    """'a, b, c', and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def section(anchor: str, title: str, *children: Any) -> Markup:
    """A part of the page with a heading."""
    heading = el("h2", title, id=f"{anchor}-title")
    return el(
        "section", heading, *children, id=anchor, aria_labelledby=f"{anchor}-title"
    )


def folded(summary: str, *children: Any) -> Markup:
    """What is shown only to those who open it."""
    return el("details", el("summary", summary), *children)
