"""CRC-32C (Castagnoli) in NumPy, as TFRecord files have it.

A CRC without its initial value is linear: the CRC of a message is the XOR of what each
byte contributes at its distance from the end. Tables hold these contributions for the
last _BLOCK distances, so NumPy looks up all bytes of a block at once; the CRCs of the
blocks are joined the same way, as four bytes at multiples of the block's length.
"""

import functools

import numpy as np

_POLYNOMIAL = 0x82F63B78  # reflected
_BLOCK = 1024  # bytes; a table of 1 MB, which the cache of a core holds
_MASK_DELTA = 0xA282EAD8


def crc32c(data: bytes) -> int:
    """The CRC-32C of `data` (RFC 3720, B.4)."""
    if len(data) < 4 * 64:
        return _short(data)
    # The initial value is that of the first four bytes being inverted.
    padding = -len(data) % _BLOCK  # zeros in front do not count
    message = np.zeros(padding + len(data), np.uint8)
    message[padding:] = np.frombuffer(data, np.uint8)
    message[padding : padding + 4] ^= 0xFF
    blocks = message.reshape(-1, _BLOCK)
    crcs = _contributions(blocks, _byte_tables())
    crc = 0
    for start in range(0, len(crcs), _BLOCK):
        part = crcs[start : start + _BLOCK]
        crc = _shift(crc, len(part)) ^ _join(part)
    return crc ^ 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """The rotated CRC that TFRecord files store."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _short(data: bytes) -> int:
    table = _plain_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _join(crcs: np.ndarray) -> int:
    """The CRC of up to _BLOCK blocks from theirs, uint32 [blocks]."""
    as_bytes = crcs.astype("<u4").view(np.uint8).reshape(-1, 4)
    tables = _block_tables()[-len(crcs) :]
    rows = np.arange(len(crcs))[:, None]
    picked = tables[rows, np.arange(4)[None, :], as_bytes]
    return int(np.bitwise_xor.reduce(picked, axis=None))


def _shift(crc: int, blocks: int) -> int:
    """The CRC once so many blocks of zeros follow; only for data over 1 MB."""
    for _ in range(blocks if crc else 0):
        crc = _after_block(crc)
    return crc


def _after_block(crc: int) -> int:
    tables = _block_tables()[-2]
    crc_bytes = crc.to_bytes(4, "little")
    return int(np.bitwise_xor.reduce([tables[i, b] for i, b in enumerate(crc_bytes)]))


def _contributions(blocks: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """The CRCs, without initial value, of uint8 [n, _BLOCK]."""
    offsets = np.arange(_BLOCK, dtype=np.int32) * 256
    crcs = np.empty(len(blocks), np.uint32)
    flat = tables.reshape(-1)
    for start in range(0, len(blocks), 16):  # what the cache holds besides the table
        picked = flat[blocks[start : start + 16] + offsets]
        crcs[start : start + 16] = np.bitwise_xor.reduce(picked, axis=1)
    return crcs


@functools.cache
def _plain_table() -> list[int]:
    """What a byte does to the CRC, [256]."""
    return [int(entry) for entry in _table()]


def _table() -> np.ndarray:
    entries = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        odd = (entries & 1).astype(bool)
        entries = (entries >> 1) ^ np.where(odd, np.uint32(_POLYNOMIAL), np.uint32(0))
    return entries


@functools.cache
def _byte_tables() -> np.ndarray:
    """uint32 [_BLOCK, 256]: row i is for the byte with _BLOCK - 1 - i behind it."""
    table = _table()
    tables = np.empty((_BLOCK, 256), np.uint32)
    tables[-1] = table
    for i in range(_BLOCK - 2, -1, -1):
        after = tables[i + 1]
        tables[i] = table[after & 0xFF] ^ (after >> 8)
    return tables


@functools.cache
def _block_tables() -> np.ndarray:
    """uint32 [_BLOCK, 4, 256]: row i is for a CRC with _BLOCK - 1 - i blocks behind it.

    A CRC's byte j in front of a block acts as a byte at the block's own position j.
    """
    tables = np.empty((_BLOCK, 4, 256), np.uint32)
    values = np.arange(256, dtype=np.uint32)
    for j in range(4):
        tables[-1, j] = values << np.uint32(8 * j)
    step = _byte_tables()[:4]  # [4, 256]
    for i in range(_BLOCK - 2, -1, -1):
        after = tables[i + 1]
        tables[i] = (
            step[0][after & 0xFF]
            ^ step[1][(after >> 8) & 0xFF]
            ^ step[2][(after >> 16) & 0xFF]
            ^ step[3][after >> 24]
        )
    return tables
