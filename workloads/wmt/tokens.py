"""Pairs of sentences as token ids: in memory, or mapped from files.

A file has, little-endian: the magic number, a digest of the tokenizer, and the number
of pairs n, 8 bytes each; 2 n + 1 offsets (uint64) where the source and the target of
each pair begin, in turns, the last one being the end; and all tokens (uint16).
"""

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from algoperf.facts import UserError

FOLDER, SUFFIX = "tokens", ".pairs"
_MAGIC = b"PAIRS\x00\x00\x01"
_HEADER_BYTES = 24
_STEP = 1 << 24  # tokens in memory at a time
_OFFSET, _TOKEN = np.dtype("<u8"), np.dtype("<u2")


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pair i: `tokens[offsets[2 i]:offsets[2 i + 1]]`, and from there to the next."""

    offsets: np.ndarray  # integers [2 * pairs + 1]
    tokens: np.ndarray  # uint16 [offsets[-1]]

    def __len__(self) -> int:
        return len(self.offsets) // 2

    def lengths(self) -> np.ndarray:
        """Tokens of sources and targets, int32 [pairs, 2]."""
        return np.diff(self.offsets).astype(np.int32).reshape(-1, 2)

    def packed_lengths(self) -> np.ndarray:
        """Of these the tokens that are not 0, int32 [pairs, 2]."""
        steps = range(0, len(self.tokens), _STEP)
        found = [np.flatnonzero(self.tokens[i : i + _STEP] == 0) + i for i in steps]
        zeros = np.concatenate([np.empty(0, np.int64), *found])
        before = np.searchsorted(zeros, self.offsets.astype(np.int64))
        return self.lengths() - np.diff(before).astype(np.int32).reshape(-1, 2)

    def sentence(self, pair: int, side: int) -> np.ndarray:
        """The source (side 0) or target (1) of a pair."""
        place = 2 * pair + side
        return self.tokens[self.offsets[place] : self.offsets[place + 1]]


def in_memory(sentences: Iterable[Sequence[int]]) -> Pairs:
    """Pairs of sources and targets that come in turns."""
    arrays = [np.asarray(sentence, _TOKEN) for sentence in sentences]
    ends = itertools.accumulate((len(array) for array in arrays), initial=0)
    return Pairs(np.fromiter(ends, _OFFSET), np.concatenate([*arrays, _EMPTY]))


def write(path: Path, pairs: Pairs, tokenizer: bytes) -> int:
    """Writes a file; returns how many pairs it has. `tokenizer` is its model."""
    with open(path, "wb") as file:
        file.write(_MAGIC + fingerprint(tokenizer))
        file.write(len(pairs).to_bytes(8, "little"))
        file.write(np.ascontiguousarray(pairs.offsets, _OFFSET).tobytes())
        file.write(np.ascontiguousarray(pairs.tokens, _TOKEN).tobytes())
    return len(pairs)


def read(path: Path, tokenizer: bytes, vocab_size: int) -> Pairs:
    """The pairs of a file, mapped: what is not used takes no memory.

    Raises:
      UserError: it is not such a file, cut short, of another tokenizer, or has a token
        beyond the vocabulary.
    """
    again = "remove it and run `algoperf prepare --workload=wmt` again"
    size_bytes = path.stat().st_size
    with open(path, "rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or header[:8] != _MAGIC:
        raise UserError(f"{path} is not a file of token pairs; {again}.")
    if header[8:16] != fingerprint(tokenizer):
        raise UserError(
            f"{path} was made with another tokenizer than the one beside it: put the "
            f"old wmt_sentencepiece_model back, or {again}."
        )
    pairs = int.from_bytes(header[16:], "little")
    tokens_at = _HEADER_BYTES + (2 * pairs + 1) * _OFFSET.itemsize
    if size_bytes < tokens_at:
        raise UserError(f"{path} ends within its index of {pairs:,} pairs; {again}.")
    offsets = np.memmap(path, _OFFSET, "r", _HEADER_BYTES, (2 * pairs + 1,))
    count, rest = int(offsets[-1]), size_bytes - tokens_at
    if rest != count * _TOKEN.itemsize:
        raise UserError(
            f"{path} has {rest:,} bytes of tokens, and its index says "
            f"{count:,} tokens of 2 bytes; {again}."
        )
    if offsets[0] != 0 or np.any(offsets[1:] < offsets[:-1]):
        raise UserError(f"{path} has an index that goes backwards; {again}.")
    tokens = np.memmap(path, _TOKEN, "r", tokens_at, (count,)) if count else _EMPTY
    _check_range(path, tokens, vocab_size, again)
    return Pairs(offsets, tokens)


def fingerprint(tokenizer: bytes) -> bytes:
    """8 bytes that tell tokenizers apart."""
    return hashlib.sha256(tokenizer).digest()[:8]


def _check_range(path: Path, tokens: np.ndarray, vocab_size: int, again: str) -> None:
    for start in range(0, len(tokens), _STEP):
        highest = int(tokens[start : start + _STEP].max())
        if highest >= vocab_size:
            raise UserError(
                f"{path} has the token {highest}, and the vocabulary ends at "
                f"{vocab_size - 1}; {again}."
            )


_EMPTY = np.empty(0, _TOKEN)
