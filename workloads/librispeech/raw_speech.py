"""LibriSpeech as it is published: archives of speakers' folders, packed or not.

`LibriSpeech/<subset>/<speaker>/<chapter>/` has FLAC files `<id>.flac` and one file
`<speaker>-<chapter>.trans.txt` with a line `<id> <TRANSCRIPT>` for each.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from algoperf.facts import UserError
from workloads import tar_members

ROOT = "LibriSpeech"
SPEAKERS = "SPEAKERS.TXT"
_AUDIO, _TRANSCRIPTS = ".flac", ".trans.txt"


class RawUtterance(NamedTuple):
    """An utterance as published."""

    name: str
    audio: bytes  # FLAC
    transcript: str


def from_archive(path: Path) -> Iterator[RawUtterance]:
    """The utterances of a .tar.gz, in its order.

    Raises:
      UserError: it is damaged, or audio and transcripts do not belong together.
    """
    return paired(tar_members.stream(path), str(path))


def from_folders(speakers: Iterable[Path]) -> Iterator[RawUtterance]:
    """The utterances of some speakers' folders, in order of their names.

    Raises:
      UserError: audio and transcripts do not belong together.
    """
    for speaker in speakers:
        files = (
            (str(path), path.read_bytes())
            for path in sorted(speaker.rglob("*"))
            if _is_part_of_it(path.name)
        )
        yield from paired(files, str(speaker))


def paired(files: Iterable[tuple[str, bytes]], where: str) -> Iterator[RawUtterance]:
    """Audio with its transcript, as soon as both have come.

    In memory are those of one chapter, whose files follow each other.

    Raises:
      UserError: audio has no transcript, or a transcript no audio.
    """
    audio: dict[str, bytes] = {}
    transcripts: dict[str, str] = {}
    for path, content in files:
        name = PurePosixPath(path).name
        if not _is_part_of_it(name):
            continue
        if name.endswith(_AUDIO):
            audio[name.removesuffix(_AUDIO)] = content
        else:
            transcripts |= _transcripts(path, content)
        for key in [key for key in audio if key in transcripts]:
            yield RawUtterance(key, audio.pop(key), transcripts.pop(key))
    for left, what, other in (
        (audio, "audio", "transcript"),
        (transcripts, "a transcript", "audio"),
    ):
        if left:
            raise UserError(
                f"{where}: {min(left)} has {what} and no {other}"
                f"{f' ({len(left) - 1} more)' if len(left) > 1 else ''}. Fetch it "
                "again, or unpack it again."
            )


def transcripts_of(source: Path) -> list[str]:
    """The transcripts of an archive or of a subset's folder, in order of their ids."""
    if source.is_dir():
        files = (
            (str(path), path.read_bytes()) for path in source.rglob(f"*{_TRANSCRIPTS}")
        )
    else:
        files = tar_members.stream(source)
    found: dict[str, str] = {}
    for path, content in files:
        name = PurePosixPath(path).name
        if _is_part_of_it(name) and name.endswith(_TRANSCRIPTS):
            found |= _transcripts(path, content)
    return [found[key] for key in sorted(found)]


def _is_part_of_it(name: str) -> bool:
    """Whether a file is LibriSpeech's, and not one that macOS leaves beside each."""
    return name.endswith((_AUDIO, _TRANSCRIPTS)) and not name.startswith(".")


def speaker_folders(subset: Path) -> list[Path]:
    """The folders of a subset's speakers, sorted; none may be missing.

    Raises:
      UserError: a speaker that `SPEAKERS.TXT` has beside the subset has no folder, or
        there is no folder at all, or the subset is a file.
    """
    if not subset.is_dir():
        raise UserError(f"{subset} is no folder. Unpack {subset.name}.tar.gz again.")
    folders = sorted(path for path in subset.iterdir() if path.is_dir())
    there = {path.name for path in folders}
    absent = sorted(_published_speakers(subset) - there, key=int)
    if absent:
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        raise UserError(
            f"{subset} has no folder of speaker {', '.join(absent[:3])}{more}, which "
            f"{SPEAKERS} lists. Unpack {subset.name}.tar.gz again."
        )
    if not folders:
        raise UserError(f"{subset} is empty. Unpack {subset.name}.tar.gz again.")
    return folders


def _published_speakers(subset: Path) -> set[str]:
    """Those of a subset: lines `14 | F | train-clean-360 | 25.03 | Name`."""
    table = subset.parent / SPEAKERS
    if not table.exists():
        return set()
    rows = [
        [cell.strip() for cell in line.split("|")]
        for line in table.read_text(errors="replace").splitlines()
        if not line.startswith(";")
    ]
    return {
        row[0]
        for row in rows
        if len(row) > 2 and row[2] == subset.name and row[0].isdecimal()
    }


def _transcripts(path: str, content: bytes) -> dict[str, str]:
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path} is damaged: it is no text. Fetch it again.") from None
    split = [line.split(maxsplit=1) for line in lines if line.strip()]
    return {key: " ".join(rest).strip() for key, *rest in split}
