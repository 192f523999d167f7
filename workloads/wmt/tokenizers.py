"""Text to token ids and back: SentencePiece, and words where the words are few.

0 is the unknown token and padding, 2 the end of a sentence (1 would be its start,
which nothing has).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from algoperf.facts import UserError

UNKNOWN, END = 0, 2
NUM_SPECIAL = 3
MODEL_NAME = "wmt_sentencepiece_model"


class Tokenizer(Protocol):
    """What every tokenizer can do. Tokens of a sentence do not include its end."""

    vocab_size: int

    def encode(self, texts: Sequence[str]) -> list[list[int]]: ...

    def decode(self, tokens: Sequence[int]) -> str: ...


class SentencePiece:
    """A trained SentencePiece model (Kudo & Richardson 2018), from its file.

    Raises:
      UserError: there is no such file, or it is no model or one of another vocabulary.
    """

    def __init__(self, path: Path, vocab_size: int):
        from sentencepiece import SentencePieceProcessor

        if not path.is_file():
            raise UserError(
                f"{path}, the tokenizer, is missing; `algoperf prepare "
                "--workload=wmt` makes it, or put AlgoPerf's there."
            )
        self.model = path.read_bytes()
        self._processor: Any = SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(self.model)
        except RuntimeError as error:
            raise UserError(
                f"{path} is not a SentencePiece model ({error}); remove it and "
                "prepare it again."
            ) from None
        self.vocab_size = self._processor.vocab_size()
        if self.vocab_size != vocab_size:
            raise UserError(
                f"{path} has {self.vocab_size:,} tokens, and wmt's model has "
                f"{vocab_size:,}; remove it and prepare it again."
            )
        ids = (self._processor.unk_id(), self._processor.eos_id())
        if ids != (UNKNOWN, END):
            raise UserError(
                f"{path} has the unknown token {ids[0]} and the end {ids[1]}, and they "
                f"should be {UNKNOWN} and {END}; remove it and prepare it again."
            )

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return self._processor.encode(list(texts), num_threads=1)

    def decode(self, tokens: Sequence[int]) -> str:
        return self._processor.decode(list(tokens))


class Words:
    """A token a word, for a known list of words; tokens beyond it are unknown too."""

    def __init__(self, words: Sequence[str]):
        self._words = ("?", "", "", *words)
        self._ids = {word: id for id, word in enumerate(words, start=NUM_SPECIAL)}
        self.vocab_size = len(self._words)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [
            [self._ids.get(word, UNKNOWN) for word in line.split()] for line in texts
        ]

    def decode(self, tokens: Sequence[int]) -> str:
        known = (token if token < self.vocab_size else UNKNOWN for token in tokens)
        return " ".join(self._words[token] for token in known)


class Numbers:
    """Tokens shown as their numbers: for random data, which has no words."""

    def decode(self, tokens: Sequence[int]) -> str:
        return " ".join(str(token) for token in tokens)
