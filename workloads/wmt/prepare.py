"""Prepares wmt: the tokenizer, and all sentences as files of its tokens.

What AlgoPerf or TFDS prepared is read as it is (TFRecord or ArrayRecord), or text files
with a sentence a line. A tokenizer that is there is used; otherwise one is trained as
AlgoPerf does, on the first ten million bytes of the training set, sources and targets
in turns. It depends on the order of the sentences, so only TFDS's gives AlgoPerf's.
"""

import functools
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from algoperf.facts import UserError
from algoperf.prepare.plan import (
    Part,
    Preparation,
    Raw,
    RawFile,
    Source,
    Unit,
    nothing_to_finish,
)
from workloads.copied_files import copied
from workloads.tfds_layout import INFO
from workloads.wmt import tokens
from workloads.wmt.parallel_text import (
    LANGUAGES,
    Pair,
    Piece,
    text_pieces,
    tfds_pieces,
)
from workloads.wmt.tokenizers import END, MODEL_NAME, SentencePiece

HOME_17, HOME_14 = "wmt17_translate/de-en/1.0.0", "wmt14_translate/de-en/1.0.0"
TRAINING_BYTES = 10_000_000  # of the tokenizer
_CHUNK = 4_096  # pairs tokenized at once
_BYTES_PER_S = 2e6  # text that one core tokenizes
_MODEL_BYTES = 800_000

# (raw files, split) -> the pieces of the split
Pieces = Callable[[Raw, str], list[Piece]]


@dataclass(frozen=True)
class Sizes:
    """What the whole data set has; tests have smaller ones."""

    train: int = 5_906_184
    validation: int = 3_000
    test: int = 3_003
    vocab_size: int = 32_000
    lines_per_file: int = 400_000


def preparation(sizes: Sizes | None = None) -> Preparation:
    """The tokenizer, WMT17 German to English (train), and WMT14 (validation, test)."""
    sizes = sizes or Sizes()
    train = _sources(sizes, HOME_17, ("train",))
    model = RawFile(MODEL_NAME, how_to_get="AlgoPerf's preparation of wmt")
    is_there = Source(
        "the tokenizer that is there",
        (model,),
        functools.partial(_copied_tokenizer, sizes),
        nothing_to_finish,
    )
    trained = [
        Source(
            f"training on {name}",
            files,
            functools.partial(_trained_tokenizer, sizes, pieces),
            nothing_to_finish,
        )
        for name, files, pieces in train
    ]
    return Preparation(
        folder="wmt",
        summary="WMT17 and WMT14, German to English",
        parts=(
            Part("tokenizer", {}, (is_there, *trained)),
            Part(
                "wmt17",
                {"train": sizes.train},
                _tokenized(sizes, train, ("train",)),
            ),
            Part(
                "wmt14",
                {"validation": sizes.validation, "test": sizes.test},
                _tokenized(
                    sizes,
                    _sources(sizes, HOME_14, ("validation", "test")),
                    ("validation", "test"),
                ),
            ),
        ),
        bytes_per_s=_BYTES_PER_S,
    )


def _sources(
    sizes: Sizes, home: str, splits: Sequence[str]
) -> list[tuple[str, tuple[RawFile, ...], Pieces]]:
    """The ways to text: (name, raw files, how to read them)."""
    info = RawFile(f"{home}/{INFO}", how_to_get="AlgoPerf's or TFDS's preparation")

    def from_tfds(raw: Raw, split: str) -> list[Piece]:
        return tfds_pieces(raw, home, split)

    def from_text(raw: Raw, split: str) -> list[Piece]:
        source, target = (raw[f"{split}.{language}"] for language in LANGUAGES)
        return text_pieces(source, target, sizes.lines_per_file)

    lines = tuple(
        RawFile(f"{split}.{language}", how_to_get="a sentence a line, as UTF-8")
        for split in splits
        for language in LANGUAGES
    )
    return [(f"TFDS {home}", (info,), from_tfds), ("text files", lines, from_text)]


def _tokenized(
    sizes: Sizes,
    ways: Sequence[tuple[str, tuple[RawFile, ...], Pieces]],
    splits: Sequence[str],
) -> tuple[Source, ...]:
    return tuple(
        Source(
            name,
            files,
            functools.partial(_token_units, sizes, pieces, splits),
            nothing_to_finish,
        )
        for name, files, pieces in ways
    )


def _token_units(
    sizes: Sizes, pieces_of: Pieces, splits: Sequence[str], raw: Raw, folder: Path
) -> list[Unit]:
    units = []
    for split in splits:
        pieces = pieces_of(raw, split)
        for number, piece in enumerate(pieces):
            name = f"{split}-{number:05d}-of-{len(pieces):05d}{tokens.SUFFIX}"
            make = functools.partial(write_tokens, folder, sizes.vocab_size, piece)
            # The tokens of a text take about half of its bytes, and their index 16 a
            # pair; the whole is not more than the text.
            units.append(Unit(f"{tokens.FOLDER}/{name}", split, piece.bytes, make))
    return units


def write_tokens(folder: Path, vocab_size: int, piece: Piece, path: Path) -> int:
    """Writes the tokens of a piece with the folder's tokenizer; returns its pairs."""
    tokenizer = SentencePiece(folder / MODEL_NAME, vocab_size)

    def sentences() -> Iterator[list[int]]:
        pairs = piece.read()
        while chunk := list(itertools.islice(pairs, _CHUNK)):
            texts = [text for pair in chunk for text in pair]
            for sentence in tokenizer.encode(texts):
                yield [*sentence, END]

    return tokens.write(path, tokens.in_memory(sentences()), tokenizer.model)


def _copied_tokenizer(sizes: Sizes, raw: Raw, folder: Path) -> list[Unit]:
    def count(path: Path) -> int:
        return SentencePiece(path, sizes.vocab_size).vocab_size

    return [copied(raw[MODEL_NAME], folder, MODEL_NAME, "", count)]


def _trained_tokenizer(
    sizes: Sizes, pieces: Pieces, raw: Raw, folder: Path
) -> list[Unit]:
    del folder

    def make(path: Path) -> int:
        pairs = itertools.chain.from_iterable(
            piece.read() for piece in pieces(raw, "train")
        )
        path.write_bytes(trained_model(pairs, sizes.vocab_size))
        return sizes.vocab_size

    return [Unit(MODEL_NAME, "", _MODEL_BYTES, make)]


def trained_model(pairs: Iterator[Pair], vocab_size: int) -> bytes:
    """A SentencePiece unigram model of the first pairs, with all their characters.

    One thread: with more of them other pieces are found.

    Raises:
      UserError: the text is too short for so many pieces.
    """
    from sentencepiece import SentencePieceTrainer

    def sentences() -> Iterator[str]:
        size_bytes = 0
        for pair in pairs:
            for text in pair:
                size_bytes += len(text.encode()) + 1  # with the end of its line
                yield text
            if size_bytes >= TRAINING_BYTES:
                return

    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=sentences(),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocab_size,
            character_coverage=1.0,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise UserError(
            f"no tokenizer of {vocab_size:,} pieces can be trained on this text: "
            f"{error}. Use the whole training set of WMT17."
        ) from None
    return model.getvalue()
