"""TFRecord files without TensorFlow: records with their checksums compared.

A record is: its length (uint64), the masked CRC-32C of these 8 bytes (uint32), the
content, and the masked CRC-32C of the content; all little-endian.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from algoperf.facts import UserError
from workloads.crc32c import masked_crc32c

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")


def read_tfrecord(path: Path) -> Iterator[bytes]:
    """The records of a file, in order.

    Raises:
      UserError: the file is cut short, or a checksum does not fit.
    """
    with open(path, "rb") as file:
        number = 0
        while header := file.read(_HEADER.size):
            if len(header) < _HEADER.size:
                raise _cut_short(path, number)
            length, length_crc = _HEADER.unpack(header)
            if masked_crc32c(header[:8]) != length_crc:
                raise _damaged(path, number)
            content = file.read(length)
            footer = file.read(_FOOTER.size)
            if len(content) < length or len(footer) < _FOOTER.size:
                raise _cut_short(path, number)
            if masked_crc32c(content) != _FOOTER.unpack(footer)[0]:
                raise _damaged(path, number)
            yield content
            number += 1


def _cut_short(path: Path, number: int) -> UserError:
    return UserError(f"{path} ends within record {number}; fetch it again.")


def _damaged(path: Path, number: int) -> UserError:
    return UserError(
        f"{path} is damaged: the checksum of record {number} does not fit; fetch it "
        "again."
    )
