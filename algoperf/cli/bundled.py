"""The submissions that come with the package, by name. Standard library only."""

import json
from pathlib import Path

from algoperf.facts import UserError, closest

SEARCH_SPACE = "tuning_search_space.json"

_ROOT = Path(__file__).parents[2] / "submissions"


def bundled_submissions() -> dict[str, Path]:
    """Name -> folder of every bundled submission."""
    files = sorted(_ROOT.glob("*_tuning/*/submission.py"))
    template = _ROOT / "template" / "submission.py"
    return {file.parent.name: file.parent for file in [*files, template]}


def bundled_state_bytes() -> dict[str, float]:
    """Bytes of optimizer state per parameter of every bundled submission, on mnist.

    Written down, because finding out takes JAX and seconds; a test finds out.
    """
    return json.loads((_ROOT / "state_bytes.json").read_text(encoding="utf-8"))


def find_submission(given: str) -> Path:
    """The path of a submission given by its file, folder, or bundled name.

    Raises:
      UserError: there is no such file, folder or name.
    """
    path = Path(given)
    if path.is_file() or (path / "submission.py").is_file():
        return path
    bundled = bundled_submissions()
    if given in bundled:
        return bundled[given]
    if path.is_dir():
        raise UserError(f"the folder {given} has no submission.py in it.")
    raise UserError(
        f"no submission {given!r}: no such file or folder, and no bundled submission "
        f"of that name; {closest(given, bundled)}Bundled: {', '.join(sorted(bundled))}."
    )


def search_space_beside(submission: Path) -> Path | None:
    """The search space in a submission's folder, if it has one."""
    folder = submission if submission.is_dir() else submission.parent
    file = folder / SEARCH_SPACE
    return file if file.is_file() else None
