"""GPT-2's byte-level BPE (Radford et al. 2019), from its two published files."""

import json
import sys
from pathlib import Path
from typing import Any

from algoperf.facts import UserError

VOCAB_SIZE = 50_257
END_OF_TEXT = "<|endoftext|>"
VOCAB_BPE, ENCODER_JSON = "vocab.bpe", "encoder.json"
# What is merged at most: contractions, words, numbers, signs, and white space, each of
# the first three with the space before it. Published with GPT-2.
_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def load_gpt2(vocab_bpe: Path, encoder_json: Path, vocab_size: int = VOCAB_SIZE) -> Any:
    """GPT-2's encoding as a `tiktoken.Encoding`.

    `vocab_bpe` lists merges, the most frequent first; `encoder_json` numbers tokens.

    Raises:
      UserError: tiktoken is missing, a file is damaged, or the two do not go together.
    """
    try:
        import tiktoken
    except ImportError:
        raise UserError(
            "tokenising needs tiktoken, which is missing here "
            f"({sys.executable}): pip install 'algoperf-jax[data]'"
        ) from None
    try:
        ranks = _ranks(vocab_bpe.read_text(encoding="utf-8"))
        numbers = json.loads(encoder_json.read_text(encoding="utf-8"))
        stated = {_as_bytes(token): number for token, number in numbers.items()}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UserError(
            f"{vocab_bpe} and {encoder_json} cannot be read as GPT-2's merges and "
            f"numbers: {error!r}. Fetch them again."
        ) from None
    end = stated.pop(END_OF_TEXT.encode(), None)
    if stated != ranks or end != len(ranks):
        raise UserError(
            f"{encoder_json} does not number the tokens that {vocab_bpe} makes: they "
            "are of two tokenizers, or damaged. Fetch both again."
        )
    if end + 1 != vocab_size:
        raise UserError(
            f"{vocab_bpe} and {encoder_json} have {end + 1:,} tokens, and GPT-2 has "
            f"{vocab_size:,}: they are of another tokenizer. Fetch GPT-2's."
        )
    return tiktoken.Encoding(
        "gpt2",
        pat_str=_PATTERN,
        mergeable_ranks=ranks,
        special_tokens={END_OF_TEXT: end},
        explicit_n_vocab=vocab_size,
    )


def _ranks(merges: str) -> dict[bytes, int]:
    """Token -> number: the 256 bytes, printable ones first, and then every merge."""
    ranks = {bytes([byte]): rank for rank, byte in enumerate(_BYTE_OF.values())}
    _, *lines = merges.rstrip("\n").split("\n")  # the first names the version
    for line in lines:
        first, second = line.split(" ")
        ranks[_as_bytes(first) + _as_bytes(second)] = len(ranks)
    return ranks


def _as_bytes(token: str) -> bytes:
    return bytes(_BYTE_OF[character] for character in token)


def _byte_of() -> dict[str, int]:
    """Which byte a character of the files stands for.

    A byte that is a printable character of Latin-1 is written as itself, the others
    in order as the characters from number 256 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    characters = {chr(byte): byte for byte in printable}
    return characters | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTE_OF = _byte_of()
