"""Reads a log tree from a .tar.xz, .tar.gz or .zip as if it were a folder."""

import contextlib
import lzma
import posixpath
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from algoperf.facts import UserError
from scoring.folders import EVAL_FILE, STUDY
from scoring.load import TRIAL_FILE
from scoring.winners import HPARAMS_FILE

SUFFIXES = (".tar.xz", ".tar.gz", ".tgz", ".tar.bz2", ".tar", ".zip")
# All other files are made empty: their names are looked at, their content is not.
_READ = {EVAL_FILE, TRIAL_FILE, HPARAMS_FILE}
# What a link that leads out of an archive points to: nothing of that name is made.
_NOWHERE = ".outside of the archive"
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
        # Real, because messages may name it so, and are put right below.
        top = Path(folder).resolve()
        root = top / without_suffix(archive).name
        try:
            root.mkdir()
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


def _unpack_tar(archive: Path, root: Path) -> None:
    links: list[tuple[str, str]] = []
    with tarfile.open(archive, "r:*") as members:
        for member in members:
            if member.isdir():
                _inside(root, member.name).mkdir(parents=True, exist_ok=True)
            elif member.isfile():
                _write(root, member.name, members.extractfile(member))
            elif member.islnk():
                links.append((member.name, member.linkname))
            elif member.issym():
                target = posixpath.join(posixpath.dirname(member.name), member.linkname)
                links.append((member.name, target))
        _check_end(members)
    for name, target in links:
        _link(root, name, target)


def _check_end(members: tarfile.TarFile) -> None:
    """Refuses a tar that was cut off, which Python reads as far as it goes.

    A tar ends with a block of zeros, and what it is compressed with with a mark of its
    own, which is looked for when everything is read.
    """
    stream = members.fileobj
    assert stream is not None
    stream.seek(members.offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.TarError("it is cut off: the end is missing")
    while stream.read(1 << 20):
        pass


def _unpack_zip(archive: Path, root: Path) -> None:
    links: list[tuple[str, str]] = []
    with zipfile.ZipFile(archive) as members:
        for member in members.infolist():
            name = member.filename
            if member.is_dir():
                _inside(root, name).mkdir(parents=True, exist_ok=True)
            elif stat.S_ISLNK(member.external_attr >> 16):
                target = members.read(member).decode(errors="replace")
                links.append((name, posixpath.join(posixpath.dirname(name), target)))
            else:
                with members.open(member) as content:
                    _write(root, name, content)
    for name, target in links:
        _link(root, name, target)


def _write(root: Path, name: str, content: IO[bytes] | None) -> None:
    path = _inside(root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        if content is not None and path.name in _READ:
            shutil.copyfileobj(content, file)


def _link(root: Path, name: str, target: str) -> None:
    """A link to another member; to nothing if it leads out of the archive."""
    path = _inside(root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    aim = PurePosixPath(posixpath.normpath(target))
    inside = not aim.is_absolute() and ".." not in aim.parts
    path.symlink_to(root / aim if inside else root / _NOWHERE)


def _inside(root: Path, name: str) -> Path:
    """Where a member goes; one that would leave the folder is refused."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise tarfile.TarError(f"member {name!r} leads out of it")
    return root / path
