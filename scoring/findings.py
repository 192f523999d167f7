"""What the runner noted about a trial: docs/isolation.md."""

from collections import Counter
from pathlib import Path
from typing import Any

from scoring.folders import Folders

FINDINGS = "trial with findings of the runner, for a person to look at"


def note_findings(folders: Folders, path: Path, facts: dict[str, Any]) -> None:
    """Notes what kinds of findings a `trial.json` has, and how many of each."""
    listed = facts.get("findings")
    found = listed if isinstance(listed, list) else []
    kinds = Counter(str(f.get("what")) for f in found if isinstance(f, dict))
    if kinds:
        detail = ", ".join(f"{what}: {number}" for what, number in kinds.items())
        folders.note(path, FINDINGS, "nothing", detail)
