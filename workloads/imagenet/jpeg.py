"""Image files to pixels. ImageNet's are JPEG, bar a PNG and some in CMYK."""

import io
import re

import numpy as np
import simplejpeg
from PIL import Image

from algoperf.facts import UserError

_PNG = b"\x89PNG\r\n\x1a\n"
_END_OF_PNG = b"\0\0\0\0IEND\xaeB`\x82"  # the last chunk is the same in every file
_END_OF_IMAGE = b"\xff\xd9"
_BASELINE = (0xC0, 0xC1)  # start of frame of Huffman-coded sequential JPEG
# Smooth upsampling of the colours looks at one row of them below, two rows of pixels.
_ROWS_OF_CONTEXT = 2
# libjpeg's JWRN_EXTRANEOUS_DATA
_BYTES_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker")
_PADDING = b"\0\xff"


class CorruptImage(UserError):
    """An image file that is damaged or cut short."""

    def __init__(self, name: str, reason: str):
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"{self.name} is not a complete JPEG or PNG image: {self.reason}; "
            "fetch the file again and prepare the data set again"
        )


def size(data: bytes, name: str) -> tuple[int, int]:
    """Height and width in pixels, from the header alone.

    Raises:
      CorruptImage: the header is damaged.
    """
    if data.startswith(_PNG):
        with _open(data, name) as image:
            return image.height, image.width
    height, width, _, _ = _header(data, name)
    return height, width


def decode(data: bytes, name: str) -> np.ndarray:
    """All pixels of a JPEG or PNG file, uint8 [height, width, 3] in RGB.

    The inverse DCT is the accurate one, so a JPEG equals Pillow's bit by bit. Padding
    before the end of the file is allowed.

    Raises:
      CorruptImage: the file is damaged or cut short, be it by its last byte.
    """
    if data.startswith(_PNG):
        return _decode_png(data, name)
    height, width, colorspace, _ = _header(data, name)
    if colorspace == "CMYK":
        return _decode_cmyk(data, name)
    pixels = np.empty((height, width, 3), np.uint8)
    try:
        simplejpeg.decode_jpeg(data, buffer=pixels)
    except ValueError as error:
        if not _is_padding(data, str(error)):
            raise CorruptImage(name, str(error)) from None
    return pixels


def decode_top(data: bytes, name: str, rows: int) -> np.ndarray:
    """The first `rows` rows of `decode(data, name)`, uint8 [rows, width, 3].

    Rows below are not decoded where the file allows it (sequential JPEG). Damage to
    them is not noticed then, nor is an undefined Huffman code in the rows above: the
    decoder tells its last warning only, which is the one about the bytes left over.
    Rows above that run out of data raise, and so does a file without its end.

    Raises:
      CorruptImage: the file is damaged or cut short.
    """
    field = _height_field(data) if data.endswith(_END_OF_IMAGE) else None
    if field is None:
        return decode(data, name)[:rows]
    height, width, colorspace, _ = _header(data, name)
    needed = rows + _ROWS_OF_CONTEXT
    if needed >= height or colorspace == "CMYK":
        return decode(data, name)[:rows]
    shorter = data[:field] + needed.to_bytes(2, "big") + data[field + 2 :]
    pixels = np.empty((needed, width, 3), np.uint8)
    try:
        simplejpeg.decode_jpeg(shorter, buffer=pixels)
    except ValueError as error:
        # It comes after the pixels were written.
        if not _BYTES_LEFT_OVER.search(str(error)):
            raise CorruptImage(name, str(error)) from None
    return pixels[:rows]


def _header(data: bytes, name: str) -> tuple[int, int, str, str]:
    try:
        height, width, colours, subsampling = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise CorruptImage(name, str(error)) from None
    return int(height), int(width), colours, subsampling


def _is_padding(data: bytes, warning: str) -> bool:
    """Whether all that the decoder warns of is padding before the end of the image.

    Damaged pixels leave bytes over too, but those are not zero.
    """
    match = _BYTES_LEFT_OVER.search(warning)
    if match is None or not data.endswith(_END_OF_IMAGE):
        return False
    end = len(data) - len(_END_OF_IMAGE)
    return not data[end - int(match[1]) : end].strip(_PADDING)


def _decode_cmyk(data: bytes, name: str) -> np.ndarray:
    try:
        # Pillow knows the ways to store ink, but overlooks a missing end of file.
        simplejpeg.decode_jpeg(data, colorspace="CMYK")
    except ValueError as error:
        raise CorruptImage(name, str(error)) from None
    with _open(data, name) as image:
        return np.array(image.convert("RGB"))


def _decode_png(data: bytes, name: str) -> np.ndarray:
    if _END_OF_PNG not in data:  # Pillow does not look
        raise CorruptImage(name, "the end of the PNG is missing")
    try:
        with _open(data, name) as image:
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise CorruptImage(name, str(error)) from None


def _open(data: bytes, name: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data))
    except (OSError, SyntaxError, ValueError) as error:
        raise CorruptImage(name, str(error)) from None


def _height_field(data: bytes) -> int | None:
    """Where a sequential JPEG tells its height, None for any other one.

    A JPEG is a chain of segments: 0xff, the kind, the length in two bytes. In a start
    of frame the length is followed by the sample precision and by the height (ITU-T
    T.81, B.2.2).
    """
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if kind in _BASELINE:
            return at + 5
        if kind == 0xDA:  # the scan begins: a frame of another kind came before it
            return None
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
