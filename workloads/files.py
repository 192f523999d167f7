"""Whether the data of a workload is there. Standard library only."""

from pathlib import Path

from algoperf.facts import Facts, Presence, UserError
from algoperf.prepare import manifest


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
    absent = _absent(facts, folder)
    if not all(absent):
        return "prepared"
    complete = [len(patterns) for patterns in facts.data.alternatives]
    found_some = [len(a) < n for a, n in zip(absent, complete, strict=True)]
    return "partial" if any(found_some) else "missing"


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
            f"the preparation of {folder} ({need.summary}) has not ended, or "
            "--verify found damaged files. To go on: algoperf prepare "
            f"--workload={facts.name} --data_dir={data_dir}."
        )
    nearest = min(_absent(facts, folder), key=len)
    problem = "is incomplete" if found == "partial" else "does not have the data"
    raise UserError(
        f"{folder} {problem} of {facts.name} ({need.summary}); missing: "
        f"{', '.join(nearest)}. To get it: {need.how_to_get}."
    )


def _is_unfinished(folder: Path) -> bool:
    try:
        begun = manifest.load(folder)
    except UserError:  # damaged: `prepare` says what to do
        return True
    return begun is not None and not begun.complete


def _absent(facts: Facts, folder: Path) -> list[list[str]]:
    """Per alternative, the patterns that match nothing."""
    return [
        [
            pattern.replace("|", " or ")
            for pattern in patterns
            if not any(any(folder.glob(one)) for one in pattern.split("|"))
        ]
        for patterns in facts.data.alternatives
    ]
