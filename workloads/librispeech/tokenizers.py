"""From texts to pieces and back."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from algoperf.facts import UserError
from workloads.librispeech.facts import TOKENIZER_FILE

# SentencePiece's default ids. 0 is the blank of CTC as well.
UNKNOWN, BEGIN, END = 0, 1, 2
VOCAB_SIZE = 1024


class Tokenizer(Protocol):
    """Texts to pieces [0, `vocab_size`) and back; threads may share one."""

    vocab_size: int

    def encode(self, text: str) -> list[int]:
        """The pieces of a text, without `BEGIN` and `END`."""
        ...

    def decode_all(self, pieces: Sequence[Sequence[int]]) -> list[str]:
        """The texts of some utterances; `BEGIN` and `END` leave nothing."""
        ...


class SentencePieceTokenizer:
    """A SentencePiece model from a file."""

    def __init__(self, path: Path):
        """Loads `spm_model.vocab`.

        Raises:
          UserError: it is missing or no SentencePiece model with LibriSpeech's ids.
        """
        from sentencepiece import SentencePieceProcessor

        if not path.is_file():
            raise UserError(
                f"the tokenizer {path} is missing; without it there is no word error "
                "rate. `algoperf prepare --workload=librispeech_conformer` makes it; "
                f"AlgoPerf's own {TOKENIZER_FILE} fits its prepared folders."
            )
        processor: Any = SentencePieceProcessor()
        try:
            processor.LoadFromSerializedProto(path.read_bytes())
        except RuntimeError as error:
            raise UserError(
                f"{path} is no SentencePiece model ({error}). Delete it and prepare "
                "the data set again."
            ) from None
        ids = processor.unk_id(), processor.bos_id(), processor.eos_id()
        if ids != (UNKNOWN, BEGIN, END):
            raise UserError(
                f"{path} has the ids {ids} for unknown, begin and end, and should "
                f"have {(UNKNOWN, BEGIN, END)}. Delete it and prepare the data set "
                "again."
            )
        self._processor = processor
        self.vocab_size: int = processor.GetPieceSize()

    def encode(self, text: str) -> list[int]:
        return self._processor.EncodeAsIds(text)

    def decode_all(self, pieces: Sequence[Sequence[int]]) -> list[str]:
        # Of none at all it makes one empty text, which is no list.
        return list(self._processor.DecodeIds([list(ids) for ids in pieces]))


class LetterTokenizer:
    """Pieces are letters, of which the first one of a word is a piece of its own.

    For generated sentences, which are too few and too regular to train SentencePiece
    on: its pieces would be whole words, and recognising them no sequence to align.
    """

    def __init__(self, letters: str):
        self._pieces = ["", "", "", *(f" {c}" for c in letters), *letters]
        self._first = {c: 3 + i for i, c in enumerate(letters)}
        self._inner = {c: 3 + len(letters) + i for i, c in enumerate(letters)}
        self.vocab_size = len(self._pieces)

    def encode(self, text: str) -> list[int]:
        return [
            ids.get(letter, UNKNOWN)
            for word in text.split()
            for ids, part in ((self._first, word[:1]), (self._inner, word[1:]))
            for letter in part
        ]

    def decode_all(self, pieces: Sequence[Sequence[int]]) -> list[str]:
        return ["".join(map(self._pieces.__getitem__, ids)).lstrip() for ids in pieces]


class NumberTokenizer:
    """Every piece is a word, its number: for random batches, which mean nothing."""

    def __init__(self, vocab_size: int):
        self.vocab_size = vocab_size

    def encode(self, text: str) -> list[int]:
        return [int(word) for word in text.split()]

    def decode_all(self, pieces: Sequence[Sequence[int]]) -> list[str]:
        return [" ".join(str(piece) for piece in ids if piece > END) for ids in pieces]


def train_sentencepiece(texts: Iterable[str], vocab_size: int = VOCAB_SIZE) -> bytes:
    """A unigram model (Kudo 2018) of these texts in this order, serialised.

    One thread: the pieces depend on how many there are.

    Raises:
      UserError: the texts are too few for so many pieces.
    """
    from sentencepiece import SentencePieceTrainer

    trainer: Any = SentencePieceTrainer
    model = io.BytesIO()
    try:
        trainer.Train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocab_size,
            character_coverage=1.0,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise UserError(
            f"no tokenizer of {vocab_size:,} pieces can be trained on the transcripts: "
            f"{error}. The raw files are incomplete, or others; fetch them again."
        ) from None
    return model.getvalue()


def tokens_of(tokenizer: Tokenizer, transcript: str) -> list[int]:
    """What a model is to say: the pieces of a transcript, and the end."""
    return [*tokenizer.encode(transcript), END]
