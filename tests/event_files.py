"""TensorBoard's event files, read without TensorBoard."""

import struct
from pathlib import Path

from workloads.tfrecord import read_tfrecord

WIRE_VARINT, WIRE_64_BIT, WIRE_BYTES, WIRE_32_BIT = 0, 1, 2, 5


def fields(message: bytes) -> list[tuple[int, int | bytes]]:
    """Field numbers and raw values of a protocol buffer, by its wire format."""
    found, at = [], 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        wire = key & 7
        if wire == WIRE_VARINT:
            value: int | bytes = varint()
        else:
            size = {WIRE_64_BIT: 8, WIRE_32_BIT: 4}.get(wire) or varint()
            value, at = message[at : at + size], at + size
        found.append((key >> 3, value))
    return found


def points(folder: Path) -> list[tuple[str, int, float]]:
    """(name, step, value) in a folder of event files, less what was purged.

    `Event` has step (2), summary (5) and session_log (7, of status 1 = START);
    `Summary` values (1) with a tag (1) and a simple_value (2).
    """
    kept: list[tuple[str, int, float]] = []
    for file in sorted(folder.glob("events.out.tfevents.*")):
        for record in read_tfrecord(file):
            event = dict(fields(record))
            step = event.get(2, 0)
            if 7 in event and dict(fields(event[7])).get(1) == 1:
                kept = [point for point in kept if point[1] < step]
            for number, value in fields(event.get(5, b"")):
                if number == 1:
                    parts = dict(fields(value))
                    (simple,) = struct.unpack("<f", parts.get(2, b"\0\0\0\0"))
                    kept.append((parts[1].decode(), step, simple))
    return kept
