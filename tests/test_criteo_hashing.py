"""Category numbers: FarmHash against published values and a scalar transcription."""

import numpy as np
import pytest

from algoperf.facts import UserError
from workloads.criteo.hashing import (
    VOCABULARY_SIZES,
    category_ids,
    fingerprint64,
    hash_buckets,
)

WORD = 2**64 - 1
K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def byte_strings(*texts: bytes) -> np.ndarray:
    return np.array(texts, dtype="S")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # TensorFlow's own test of string_to_hash_bucket_fast.
        (b"a", 12917804110809363939),
        (b"b", 11795596070477164822),
        (b"c", 11430444447143000872),
        (b"d", 4470636696479570465),
        # The examples of FARM_FINGERPRINT in BigQuery's documentation (signed there).
        (b"1footrue", -1541654101129638711 % 2**64),
        (b"2applefalse", 2794438866806483259),
        (b"3true", -4880158226897771312 % 2**64),
        # pyfarmhash's documentation.
        (b"abc", 2640714258260161385),
        (b"", K2),
    ],
)
def test_fingerprints_are_the_published_ones(text, expected):
    assert fingerprint64(byte_strings(text)).tolist() == [expected]


def test_buckets_are_those_of_tensorflow():
    # Its documentation, its own test, and (run once) TensorFlow 2.21.
    words = byte_strings(b"Hello", b"TensorFlow", b"2.x")
    np.testing.assert_array_equal(hash_buckets(words, 3), [0, 2, 2])
    letters = byte_strings(b"a", b"b", b"c", b"d")
    np.testing.assert_array_equal(hash_buckets(letters, 10), [9, 2, 2, 5])
    drawn = {
        b"000000000": 2271946735276985195,
        b"0000000025": 996838853614153992,
        b"80e26c9b13": 2878080343134441139,
        16 * b"x": 3320895591121647644,
        17 * b"x": 2082709914559524773,
        23 * b"x": 193995199613657122,
        32 * b"x": 3678204687145032709,
    }
    buckets = hash_buckets(byte_strings(*drawn), 2**62)
    assert buckets.tolist() == list(drawn.values())


def rotate(x: int, bits: int) -> int:
    return (x >> bits | x << (64 - bits)) & WORD


def finish(u: int, v: int, multiplier: int) -> int:
    a = (u ^ v) * multiplier & WORD
    a ^= a >> 47
    b = (v ^ a) * multiplier & WORD
    b ^= b >> 47
    return b * multiplier & WORD


def fingerprint_by_integers(s: bytes) -> int:
    """farmhashna::Hash64 up to 32 bytes, with Python's integers."""
    n = len(s)

    def word(start: int, size: int = 8) -> int:
        return int.from_bytes(s[start : start + size], "little")

    multiplier = (K2 + 2 * n) & WORD
    if n > 16:
        a, b = word(0) * K1 & WORD, word(8)
        c, d = word(n - 8) * multiplier & WORD, word(n - 16) * K2 & WORD
        u = rotate((a + b) & WORD, 43) + rotate(c, 30) + d
        v = a + rotate((b + K2) & WORD, 18) + c
        return finish(u & WORD, v & WORD, multiplier)
    if n >= 8:
        a, b = (word(0) + K2) & WORD, word(n - 8)
        c = (rotate(b, 37) * multiplier + a) & WORD
        d = (rotate(a, 25) + b) * multiplier & WORD
        return finish(c, d, multiplier)
    if n >= 4:
        return finish(n + (word(0, 4) << 3), word(n - 4, 4), multiplier)
    if n == 0:
        return K2
    y, z = s[0] + (s[n // 2] << 8), n + (s[-1] << 2)
    mixed = (y * K2 ^ z * K0) & WORD
    return (mixed ^ mixed >> 47) * K2 & WORD


def test_every_length_up_to_32_is_hashed_as_defined():
    random = np.random.default_rng(7)
    texts = [
        bytes(random.integers(1, 256, size=length).astype(np.uint8))
        for length in range(33)
        for _ in range(5)
    ]
    random.shuffle(texts)
    expected = [fingerprint_by_integers(text) for text in texts]
    assert fingerprint64(byte_strings(*texts)).tolist() == expected


def test_a_suffix_is_a_part_of_the_string():
    texts = byte_strings(b"68fd1e64", b"-1", b"", b"00000000")
    for suffix in (b"0", b"25"):
        joined = byte_strings(*(bytes(text) + suffix for text in texts))
        ours = fingerprint64(texts, suffix)
        np.testing.assert_array_equal(ours, fingerprint64(joined))


def test_more_strings_than_a_block_are_hashed_alike():
    texts = np.array([b"%x" % i for i in range(70_000)], dtype="S8")
    ours = fingerprint64(texts)
    for row in (0, 32_767, 32_768, 69_999):
        assert ours[row] == fingerprint_by_integers(bytes(texts[row]))
    assert len(np.unique(ours)) == 70_000
    assert len(fingerprint64(texts[:0])) == 0


def test_columns_may_be_views_of_a_table():
    table = np.array([[b"68fd1e64", b"80e26c9b"], [b"00000000", b"fb936136"]])
    np.testing.assert_array_equal(
        fingerprint64(table[:, 1]), fingerprint64(table[:, 1].copy())
    )


def test_category_ids_are_buckets_of_the_value_with_its_column():
    texts = np.array([b"%08x" % (i * 2_654_435_761 % 2**32) for i in range(200)])
    texts = np.concatenate([texts, [b"0", b"abc1234", b"123456789"]])
    for values in (texts, texts[:200]):  # of several lengths, and all of 8 bytes
        for column, size in enumerate(VOCABULARY_SIZES):
            ours = category_ids(values, column)
            assert ours.dtype == np.uint32
            exact = [
                fingerprint_by_integers(bytes(text) + str(column).encode()) % size
                for text in values
            ]
            np.testing.assert_array_equal(ours, exact)


def test_there_are_26_vocabularies_of_the_known_sizes():
    assert len(VOCABULARY_SIZES) == 26
    assert sum(VOCABULARY_SIZES) == 187_767_399
    assert max(VOCABULARY_SIZES) == 39_979_771


def test_a_string_that_is_too_long_is_named():
    with pytest.raises(UserError) as error:
        fingerprint64(byte_strings(b"ab", 31 * b"x"), b"25")
    assert str(error.value) == (
        f"cannot hash {31 * b'x' + b'25'!r}: it has 33 bytes, and 32 are allowed. "
        "Check that the columns of the file are those of Criteo's logs."
    )
