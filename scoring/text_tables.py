"""Tables for a terminal."""

from collections.abc import Iterable, Sequence

# Submissions side by side before a table goes on below.
BLOCK = 4


def blocks(names: Sequence[str]) -> list[Sequence[str]]:
    """Names in groups that fit beside each other."""
    return [names[i : i + BLOCK] for i in range(0, len(names), BLOCK)]


def titled(
    title: str, header: list[str], lines: list[list[str]], left: Iterable[int]
) -> str:
    """A table with a title; columns are right-aligned but those in `left`."""
    to_left = set(left)
    widths = [max(map(len, cells)) for cells in zip(header, *lines, strict=True)]

    def joined(cells: Iterable[str]) -> str:
        padded = [
            cell.ljust(width) if column in to_left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([title, joined(header), rule, *map(joined, lines)])
