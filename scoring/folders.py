"""The folders of a log tree: what they should be called, and what else is there."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from algoperf.facts import UserError
from scoring.health import Effect, HealthNote
from scoring.rules import closest

EVAL_FILE = "eval_measurements.csv"
SCORES_FILE = "scores.json"

# No leading zeros: `study_01` beside `study_1` would be two folders for one study.
STUDY = re.compile(r"study_(0|[1-9]\d*)")
TRIAL = re.compile(r"trial_(0|[1-9]\d*)")
# How far below a folder logs are looked for: AlgoPerf's log repository has four.
_DEPTH = 6
# What a runner leaves beside the trial folders.
_NORMAL_IN_WORKLOAD = re.compile(r".*\.log|\.keep")


@dataclass
class Folders:
    """Reads folders in sorted order and notes what does not belong there."""

    root: Path
    notes: list[HealthNote] = field(default_factory=list)

    def where(self, path: Path) -> str:
        """A path as the report shows it: below the root, with slashes."""
        # As text: `relative_to` is slow, and this is asked for every trial.
        below = len(str(self.root / "x")) - 1
        return str(path)[below:].replace(os.sep, "/") or "."

    def note(self, path: Path, what: str, effect: Effect, detail: str = "") -> None:
        """Adds an irregularity."""
        self.notes.append(HealthNote(self.where(path), what, effect, detail))

    def scan(self, folder: Path) -> list[Path]:
        """What a folder holds, sorted: scores must not depend on the file system."""
        return [folder / name for name in self.names(folder)]

    def names(self, folder: Path) -> list[str]:
        """The names of what a folder holds, sorted; none if it cannot be read."""
        try:
            return sorted(os.listdir(folder))
        except OSError as error:
            reason = error.strerror or str(error)
            self.note(folder, "folder cannot be read", "folder ignored", reason)
            return []

    def numbered(
        self, folder: Path, pattern: re.Pattern[str]
    ) -> list[tuple[int, Path]]:
        """The folders that match STUDY or TRIAL, by number; all else is noted."""
        found: list[tuple[int, Path]] = []
        for path in self.scan(folder):
            match = pattern.fullmatch(path.name)
            if path.is_dir() and match:
                found.append((int(match[1]), path))
            elif path.is_dir():
                kind = "study" if pattern is STUDY else "trial"
                self.note(path, f"not a {kind} folder", "folder ignored")
            elif pattern is STUDY or not _NORMAL_IN_WORKLOAD.fullmatch(path.name):
                self.note(path, "stray file", "nothing")
        return sorted(found)


def find_submissions(folders: Folders, wanted: Iterable[str] | None) -> list[Path]:
    """The folders with studies in them, by name; what else is there is noted.

    Args:
      wanted: the names to return; all with None.

    Raises:
      UserError: no folder, no submission in it, or not the one that is wanted.
    """
    check_folder(folders.root)
    children = folders.scan(folders.root)
    if any(STUDY.fullmatch(path.name) and path.is_dir() for path in children):
        raise UserError(
            f"{folders.root} is itself a submission: it holds study folders. "
            "--submission_directory is the folder that holds submissions; use "
            f"--submission_directory={folders.root.resolve().parent} "
            f"--submissions={folders.root.resolve().name}."
        )
    found = [path for path in children if path.is_dir() and _has_study(path)]
    if not found:
        raise UserError(_no_submissions(folders.root, children))
    names = [path.name for path in found]
    chosen = set(names if wanted is None else wanted)
    for name in sorted(chosen - set(names)):
        raise UserError(
            f"{folders.root} has no submission {name!r}; {closest(name, names)}"
            f"All: {', '.join(names)}."
        )
    for path in children:
        if path.name in names or (path / SCORES_FILE).is_file():
            continue  # a submission, or what an earlier scoring wrote
        if path.name.startswith("."):
            continue  # a sweep's record, a compilation cache, or a file browser's
        if path.is_dir():
            folders.note(path, "no study folder in it: not ranked", "folder ignored")
        else:
            folders.note(path, "stray file", "nothing")
    return [path for path in found if path.name in chosen]


def check_folder(root: Path) -> None:
    """Raises UserError for a path that is no folder."""
    if root.is_dir():
        return
    what = "is a file, not a folder" if root.is_file() else "does not exist"
    raise UserError(
        f"{root} {what}; --submission_directory is the folder that holds one folder "
        "per submission (the experiment that `algoperf run` wrote), or an archive of "
        "one (.tar.xz, .tar.gz, .zip)."
    )


def log_folders(root: Path) -> list[Path]:
    """The folders that hold submissions: `root` alone, or those some levels below."""
    found: list[Path] = []
    level = [root]
    for _ in range(_DEPTH):
        below: list[Path] = []
        for folder in level:
            children = [path for path in Folders(root).scan(folder) if path.is_dir()]
            if any(map(_has_study, children)) or _has_study(folder):
                found.append(folder)
            else:
                below += children
        level = below
    return found


def _no_submissions(root: Path, children: list[Path]) -> str:
    # Some levels too high is the likely mistake: runs/ for runs/my_experiment/.
    folders = [path for path in children if path.is_dir()]
    below = [path for path in log_folders(root) if path != root]
    text = f"{root} holds no submissions (folders that hold study_0, study_1, ...); "
    if below:
        return text + f"but these do: {', '.join(map(str, below))}. Use one of them."
    names = ", ".join(path.name for path in folders) or "no folders at all"
    return text + (
        f"found: {names}. Expected: <submission>/study_0/<workload>_jax/trial_1/"
        f"{EVAL_FILE}, as `algoperf run` writes it."
    )


def _has_study(path: Path) -> bool:
    try:
        return any(STUDY.fullmatch(name) for name in os.listdir(path))
    except OSError:
        return False
