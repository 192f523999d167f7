"""Whether the data of a workload is there. Standard library only."""

import re
from dataclasses import dataclass
from pathlib import Path

from algoperf.facts import Facts, Presence, UserError
from algoperf.prepare import manifest

_SHARD = re.compile(r"-\d+-of-(\d+)$")


@dataclass(frozen=True)
class Wanted:
    """A file, or the shards of one, that a data set consists of."""

    name: str
    found: int  # how many files
    whole: int  # how many it should be

    def __str__(self) -> str:
        shards = f" ({self.found} of {self.whole} shards)" if self.found else ""
        return self.name + shards


def presence(facts: Facts, data_dir: Path | None) -> Presence:
    """Whether the files a workload reads are there, all, in part, or not at all.

    A preparation that was begun and has not ended counts as partial, whatever is there.
    """
    if not facts.data.alternatives:
        return "bundled"
    if data_dir is None:
        return "missing"
    folder = data_dir / facts.data.folder
    if _is_unfinished(folder):
        return "partial"
    wanted = _wanted(facts, folder)
    if not all(map(_incomplete, wanted)):
        return "prepared"
    some = any(one.found for alternative in wanted for one in alternative)
    return "partial" if some else "missing"


def require(
    facts: Facts, data_dir: Path | None, random_data: bool = False
) -> Path | None:
    """The folder with a workload's data, or None where none is read.

    Raises:
      UserError: files are missing; the message says which, and how to get them. Or
        random data is asked for where real data comes along.
    """
    if random_data and facts.scale == "full":
        return None
    if random_data:
        raise UserError(
            "--data=random is for full workloads, whose data may not be there; "
            f"{facts.name} brings its own. Leave the flag out."
        )
    found = presence(facts, data_dir)
    if found == "bundled":
        return None
    need = facts.data
    if data_dir is None:
        raise UserError(
            f"{facts.name} needs --data_dir: a folder with {need.folder}/ in it "
            f"({need.summary}). To get it: {need.how_to_get}."
        )
    folder = data_dir / need.folder
    if found == "prepared":
        return folder
    if _is_unfinished(folder):
        raise UserError(
            f"the preparation of {folder} ({need.summary}) has not ended, or some of "
            "its files are damaged or gone. To go on: algoperf prepare "
            f"--workload={facts.name} --data_dir={data_dir}."
        )
    nearest = min(map(_incomplete, _wanted(facts, folder)), key=len)
    parent = data_dir.parent if data_dir.name == need.folder else None
    if found == "missing" and presence(facts, parent) == "prepared":
        raise UserError(
            f"--data_dir={data_dir} is the data set itself; give the folder it is in: "
            f"--data_dir={data_dir.parent}."
        )
    problem = "is incomplete" if found == "partial" else "does not have the data"
    raise UserError(
        f"{folder} {problem} of {facts.name} ({need.summary}); missing: "
        f"{', '.join(map(str, nearest))}. To get it: {need.how_to_get}."
    )


def _is_unfinished(folder: Path) -> bool:
    """Whether a preparation was begun here and what it makes is not all there."""
    try:
        begun = manifest.load(folder)
    except UserError:  # damaged: `prepare` says what to do
        return True
    return begun is not None and (not begun.complete or bool(begun.gone(folder)))


def _incomplete(alternative: list[Wanted]) -> list[Wanted]:
    return [one for one in alternative if one.found < one.whole]


def _wanted(facts: Facts, folder: Path) -> list[list[Wanted]]:
    """Per alternative, what of it is there."""
    return [
        [_look(pattern, folder) for pattern in patterns]
        for patterns in facts.data.alternatives
    ]


def _look(pattern: str, folder: Path) -> Wanted:
    """The most complete of some patterns with | between them."""
    looks = []
    for one in pattern.split("|"):
        names = [path.name for path in folder.glob(one)]
        shards = [int(match[1]) for name in names if (match := _SHARD.search(name))]
        # A name without a count is a file that is whole when it is there.
        alone = len(shards) < len(names)
        looks.append((len(names), 1 if alone or not shards else max(shards)))
    found, whole = max(looks, key=lambda look: look[0] / look[1])
    return Wanted(pattern.replace("|", " or "), found, whole)
