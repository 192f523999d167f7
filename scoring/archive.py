"""Reads a log tree from a .tar.xz, .tar.gz or .zip as if it were a folder."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from algoperf.facts import UserError
from scoring.folders import STUDY

SUFFIXES = (".tar.xz", ".tar.gz", ".tgz", ".tar.bz2", ".tar", ".zip")


def archive_in(path: Path) -> Path | None:
    """The archive that a path is or leads into: logs.tar.xz/some/folder; or None."""
    for part in (path, *path.parents):
        if part.name.lower().endswith(SUFFIXES) and part.is_file():
            return part
    return None


def without_suffix(path: Path) -> Path:
    """logs for logs.tar.xz and logs.tar.xz/some/folder; other paths as they are."""
    archive = archive_in(path)
    if archive is None:
        return path
    suffix = next(own for own in SUFFIXES if archive.name.lower().endswith(own))
    return archive.with_name(archive.name[: -len(suffix)])


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Path]:
    """A folder with the content of an archive, or the folder itself.

    What is unpacked lies in a temporary folder and is gone afterwards.

    Raises:
      UserError: an archive that is damaged, or has no folder of that name.
    """
    archive = archive_in(path)
    if archive is None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="algoperf_score_") as folder:
        # Real, because messages may name it so, and are put right below.
        top = Path(folder).resolve()
        root = top / without_suffix(archive).name
        root.mkdir()
        # Here, and not above: most logs are in folders, and scoring starts quickly.
        from scoring.unpack import unpack

        unpack(archive, root)
        inside = root / path.relative_to(archive)
        if not inside.is_dir():
            names = ", ".join(sorted(child.name for child in root.iterdir()))
            raise UserError(
                f"{archive} holds no folder {path.relative_to(archive)}; at the top "
                f"it has: {names or 'nothing'}."
            )
        # An archive of one submission has no folder around its studies.
        if inside == root and any(STUDY.fullmatch(own.name) for own in root.iterdir()):
            inside = top
        try:
            yield inside
        except UserError as error:
            # Messages name what the user named, and what can be given as a path.
            text = str(error).replace(str(root), str(archive))
            raise UserError(text.replace(str(top), str(archive))) from None
