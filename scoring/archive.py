"""Reads a log tree from a .tar.xz, .tar.gz or .zip as if it were a folder."""

import contextlib
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from algoperf.facts import UserError
from scoring.folders import EVAL_FILE
from scoring.load import TRIAL_FILE
from scoring.winners import HPARAMS_FILE

SUFFIXES = (".tar.xz", ".tar.gz", ".tgz", ".tar.bz2", ".tar", ".zip")
# All other files are made empty: their names are looked at, their content is not.
_READ = {EVAL_FILE, TRIAL_FILE, HPARAMS_FILE}
# RuntimeError: a zip with a password. NotImplementedError: an unknown compression.
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
)


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
        root = Path(folder)
        try:
            if archive.name.lower().endswith(".zip"):
                _unpack_zip(archive, root)
            else:
                _unpack_tar(archive, root)
        except _DAMAGED as error:
            raise UserError(
                f"cannot read the archive {archive}: {error or type(error).__name__}. "
                "Unpack it yourself, or download it again."
            ) from None
        inside = root / path.relative_to(archive)
        if not inside.is_dir():
            top = ", ".join(sorted(child.name for child in root.iterdir()))
            raise UserError(
                f"{archive} holds no folder {path.relative_to(archive)}; at the top "
                f"it has: {top or 'nothing'}."
            )
        try:
            yield inside
        except UserError as error:
            # Messages name what the user named, and what can be given as a path.
            raise UserError(str(error).replace(folder, str(archive))) from None


def _unpack_tar(archive: Path, root: Path) -> None:
    # Read as a stream: a compressed archive is slow to jump about in.
    with tarfile.open(archive, "r|*") as members:
        for member in members:
            if member.isdir():
                _inside(root, member.name).mkdir(parents=True, exist_ok=True)
            elif member.isfile():
                _write(root, member.name, members.extractfile(member))


def _unpack_zip(archive: Path, root: Path) -> None:
    with zipfile.ZipFile(archive) as members:
        for member in members.infolist():
            if member.is_dir():
                _inside(root, member.filename).mkdir(parents=True, exist_ok=True)
            else:
                with members.open(member) as content:
                    _write(root, member.filename, content)


def _write(root: Path, name: str, content: IO[bytes] | None) -> None:
    path = _inside(root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        if content is not None and path.name in _READ:
            shutil.copyfileobj(content, file)


def _inside(root: Path, name: str) -> Path:
    """Where a member goes; one that would leave the folder is refused."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise tarfile.TarError(f"member {name!r} leads out of it")
    return root / path
