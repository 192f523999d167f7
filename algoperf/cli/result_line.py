"""A line of a check: what is good, what is bad, and what is only said."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One result: `ok` is None for what is only said."""

    ok: bool | None
    what: str

    def __str__(self) -> str:
        mark = {True: "ok  ", False: "BAD ", None: "    "}[self.ok]
        return f"{mark}{self.what}"
