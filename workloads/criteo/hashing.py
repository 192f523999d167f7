"""Category numbers as TensorFlow makes them: FarmHash's Fingerprint64, in NumPy.

The numbers of `tf.strings.to_hash_bucket_fast`, without TensorFlow. The algorithm is
that of farmhashna::Hash64 (Pike 2014) for strings of up to 32 bytes.
"""

import numpy as np

from algoperf.facts import UserError

LONGEST = 32
_BLOCK = 32_768  # strings at a time: what is computed of them stays in the cache

# Rows of the hashed vocabulary of each of the 26 categorical columns.
VOCABULARY_SIZES = (
    *(39884406, 39043, 17289, 7420, 20263, 3, 7120, 1543, 63, 38532951, 2953546),
    *(403346, 10, 2208, 11938, 155, 4, 976, 14, 39979771, 25641295, 39664984, 585935),
    *(12972, 108, 36),
)

_K0 = np.uint64(0xC3A5C85C97CB3127)
_K1 = np.uint64(0xB492B66FBE98F273)
_K2 = np.uint64(0x9AE16A3B2F90404F)


def category_ids(values: np.ndarray, column: int) -> np.ndarray:
    """The ids of the values of a categorical column: uint32 [row].

    The bucket of a value with the column's index appended to it. The models get ids
    as float32, which rounds those above 2^24 (`rows.features`).

    Args:
      values: byte strings [row], such as b"68fd1e64"; b"00000000" where missing.
      column: 0 to 25.

    Raises:
      UserError: a value is longer than 30 or 31 bytes.
    """
    size = VOCABULARY_SIZES[column]
    return hash_buckets(values, size, suffix=b"%d" % column).astype(np.uint32)


def hash_buckets(
    strings: np.ndarray, num_buckets: int, suffix: bytes = b""
) -> np.ndarray:
    """`to_hash_bucket_fast` of byte strings with a suffix: int64 [string]."""
    return (fingerprint64(strings, suffix) % np.uint64(num_buckets)).astype(np.int64)


def fingerprint64(strings: np.ndarray, suffix: bytes = b"") -> np.ndarray:
    """Fingerprint64 of byte strings (dtype S), each with `suffix`: uint64 [string].

    Raises:
      UserError: a string with its suffix is longer than 32 bytes.
    """
    strings = np.ascontiguousarray(strings)
    hashes = np.empty(len(strings), np.uint64)
    for start in range(0, len(strings), _BLOCK):
        block = slice(start, start + _BLOCK)
        hashes[block] = _of_block(strings[block], suffix)
    return hashes


def _of_block(strings: np.ndarray, suffix: bytes) -> np.ndarray:
    characters = strings.view(np.uint8).reshape(len(strings), -1)
    if characters.shape[1] == 8 and 0 < len(suffix) <= 8 and characters.all():
        return _of_words(strings.view("<u8"), suffix)
    lengths = np.strings.str_len(strings)
    longest = int(lengths.max())
    if longest + len(suffix) > LONGEST:
        text = bytes(strings[lengths.argmax()]) + suffix
        raise UserError(
            f"cannot hash {text!r}: it has {len(text)} bytes, and {LONGEST} are "
            "allowed. Check that the columns of the file are those of Criteo's logs."
        )
    if lengths.min() == longest:
        return _of_length(characters[:, :longest], suffix)
    hashes = np.empty(len(strings), np.uint64)
    for length in np.unique(lengths):
        chosen = lengths == length
        hashes[chosen] = _of_length(characters[chosen, :length], suffix)
    return hashes


def _of_words(words: np.ndarray, suffix: bytes) -> np.ndarray:
    """Hashes of strings of 8 bytes, each as a little-endian integer, with a suffix.

    These are nearly all there are in click logs.
    """
    bits = np.uint64(8 * len(suffix))
    end = np.uint64(int.from_bytes(suffix, "little") << (64 - int(bits)))
    return _hash_8_to_16(words, words >> bits | end, 8 + len(suffix))


def _of_length(characters: np.ndarray, suffix: bytes) -> np.ndarray:
    """Hashes of strings of one length, uint8 [string, byte]."""
    count, length = characters.shape
    text = np.empty((count, length + len(suffix)), np.uint8)
    text[:, :length] = characters
    text[:, length:] = np.frombuffer(suffix, np.uint8)
    length = text.shape[1]
    if length == 0:
        return np.full(count, _K2)
    if length < 4:
        return _hash_1_to_3(text)
    multiplier = _multiplier(length)
    if length < 8:
        first, last = _word(text, 0, 4), _word(text, length - 4, 4)
        return _mix(np.uint64(length) + (first << np.uint64(3)), last, multiplier)
    first, last = _word(text, 0), _word(text, length - 8)
    if length <= 16:
        return _hash_8_to_16(first, last, length)
    a, b = first * _K1, _word(text, 8)
    c, d = last * multiplier, _word(text, length - 16) * _K2
    return _mix(
        _rotate(a + b, 43) + _rotate(c, 30) + d,
        a + _rotate(b + _K2, 18) + c,
        multiplier,
    )


def _hash_1_to_3(text: np.ndarray) -> np.ndarray:
    length = text.shape[1]
    first, middle, last = (
        text[:, at].astype(np.uint64) for at in (0, length // 2, length - 1)
    )
    y = first + (middle << np.uint64(8))
    z = np.uint64(length) + (last << np.uint64(2))
    return _shift_mix(y * _K2 ^ z * _K0) * _K2


def _hash_8_to_16(first: np.ndarray, last: np.ndarray, length: int) -> np.ndarray:
    multiplier = _multiplier(length)
    a = first + _K2
    c = _rotate(last, 37) * multiplier + a
    return _mix(c, (_rotate(a, 25) + last) * multiplier, multiplier)


def _multiplier(length: int) -> np.uint64:
    return _K2 + np.uint64(2 * length)


def _word(text: np.ndarray, start: int, size: int = 8) -> np.ndarray:
    """Bytes of each string as one little-endian integer."""
    part = np.ascontiguousarray(text[:, start : start + size])
    return part.view(f"<u{size}")[:, 0].astype(np.uint64)


def _mix(u: np.ndarray, v: np.ndarray, multiplier: np.uint64) -> np.ndarray:
    a = _shift_mix((u ^ v) * multiplier)
    b = _shift_mix((v ^ a) * multiplier)
    return b * multiplier


def _shift_mix(x: np.ndarray) -> np.ndarray:
    return x ^ (x >> np.uint64(47))


def _rotate(x: np.ndarray, bits: int) -> np.ndarray:
    """To the right."""
    return (x >> np.uint64(bits)) | (x << np.uint64(64 - bits))
