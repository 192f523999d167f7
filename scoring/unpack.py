"""Unpacks what scoring reads of a .tar.xz, .tar.gz or .zip."""

import lzma
import posixpath
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from algoperf.facts import UserError
from scoring.folders import EVAL_FILE
from scoring.load import TRIAL_FILE
from scoring.winners import HPARAMS_FILE

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


def unpack(archive: Path, root: Path) -> None:
    """Makes an archive's folders and files below `root`.

    Raises:
      UserError: an archive that is damaged or cut off, or leads out of itself.
    """
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
