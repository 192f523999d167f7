"""Members of tar files, with damage noticed that `tarfile` passes over."""

import io
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from algoperf.facts import UserError


@dataclass(frozen=True)
class Member:
    """A file in a tar file: where its content is."""

    name: str
    offset: int
    size: int


class Slice(io.RawIOBase):
    """A stretch of a file, as a file of its own."""

    def __init__(self, path: Path, offset: int, size: int):
        super().__init__()
        self._file = open(path, "rb")  # noqa: SIM115 (closed by close)
        self._offset, self._size, self._position = offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {
            io.SEEK_SET: 0,
            io.SEEK_CUR: self._position,
            io.SEEK_END: self._size,
        }[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer) -> int:
        count = max(0, min(len(buffer), self._size - self._position))
        self._file.seek(self._offset + self._position)
        block = self._file.read(count)
        buffer[: len(block)] = block
        self._position += len(block)
        return len(block)

    def close(self) -> None:
        self._file.close()
        super().close()


def index(path: Path) -> list[Member]:
    """The files in an uncompressed tar file, without reading what is in them.

    Raises:
      UserError: it is no tar file, or ends too early.
    """
    try:
        with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            found = [
                Member(member.name, member.offset_data, member.size)
                for member in tar
                if member.isfile()
            ]
            _check_rest_is_empty(path, file, found)
    except tarfile.TarError as error:
        raise _damaged(path, str(error)) from None
    return found


def contents(path: Path, archive: Member) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files in a tar file within a tar file.

    Raises:
      UserError: the inner file is damaged.
    """
    where = f"{archive.name} in {path}"
    with io.BufferedReader(Slice(path, archive.offset, archive.size), 1 << 20) as file:
        last = []
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for member in tar:
                    if not member.isfile():
                        continue
                    last = [Member(member.name, member.offset_data, member.size)]
                    content = tar.extractfile(member)
                    assert content is not None  # it is a file
                    yield member.name, content.read()
            _check_rest_is_empty(where, file, last)
        except tarfile.TarError as error:
            raise _damaged(where, str(error)) from None


def stream(path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files in a tar file, compressed or not.

    Raises:
      UserError: the file is damaged.
    """
    try:
        with tarfile.open(path, mode="r|*") as tar:
            for member in tar:
                if member.isfile():
                    content = tar.extractfile(member)
                    assert content is not None  # it is a file
                    yield member.name, content.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        if getattr(error, "errno", None) is not None:
            raise  # the disk, not the content
        raise _damaged(path, str(error)) from None


def read(path: Path, member: Member) -> bytes:
    """The content of a member of an uncompressed tar file.

    Raises:
      UserError: the tar file ends too early.
    """
    with open(path, "rb") as file:
        file.seek(member.offset)
        content = file.read(member.size)
    if len(content) < member.size:
        raise _damaged(path, f"it ends within {member.name}")
    return content


def _check_rest_is_empty(where: Path | str, file, found: list[Member]) -> None:
    """After the last member there are only zeros.

    `tarfile` takes a damaged header for the end, and does not say so.
    """
    if not found:
        raise _damaged(where, "no files are in it")
    last = found[-1]
    end = file.seek(0, io.SEEK_END)
    if last.offset + last.size > end:
        raise _damaged(where, f"it ends within {last.name}")
    position = last.offset + last.size + -last.size % tarfile.BLOCKSIZE
    file.seek(position)
    while block := file.read(1 << 20):
        if block.strip(b"\0"):
            raise _damaged(where, f"no file header follows {last.name}")


def _damaged(where: Path | str, problem: str) -> UserError:
    return UserError(f"{where} is damaged: {problem}; fetch it again.")
