"""Prepares FineWeb-Edu (sample-10BT): its text becomes flat files of GPT-2 tokens.

A token file for each raw file holds its documents in their order, each ended by the
end-of-text token, which text itself never encodes to. An index then puts the documents
in AlgoPerf's order and splits without moving them: shuffled as Hugging Face `datasets`
does with seed 0, the first nine tenths for training.
"""

import functools
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.facts import UserError
from algoperf.prepare.plan import (
    Made,
    Part,
    Preparation,
    Raw,
    RawFile,
    Source,
    Unit,
)
from workloads.copied_files import copied
from workloads.fineweb.documents import json_texts, parquet_texts
from workloads.fineweb.facts import (
    CONTEXT_LENGTH,
    FINEWEBEDU_LM,
    FOLDER,
    LEAST_SHARE_OF_TRAIN,
)
from workloads.fineweb.files import (
    INDEX,
    STEM,
    TOKEN_DTYPE,
    documents_name,
    map_tokens,
)
from workloads.fineweb.gpt2 import (
    ENCODER_JSON,
    END_OF_TEXT,
    VOCAB_BPE,
    VOCAB_SIZE,
    load_gpt2,
)

SHUFFLE_SEED = 0
TRAIN_SHARE = 0.9
# Parquet is about 2.8 bytes a token, JSON Lines 4.7: a bound, for the space to ask for.
TOKEN_BYTES_PER_RAW_BYTE = {"parquet": 0.75, "jsonl": 0.5, "gz": 1.5}
BYTES_PER_S = 6e6  # of token files, tokenised on one core
_SCAN_TOKENS = 1 << 24
_ADDRESS = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"
# SHA-256: the package tiktoken, tiktoken_ext/openai_public.py.
# Hugging Face has the same bytes under other names.
TOKENIZER = (
    RawFile(
        VOCAB_BPE,
        456_318,
        "sha256:1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
        url=f"{_ADDRESS}{VOCAB_BPE}",
        also_named=("merges.txt",),
    ),
    RawFile(
        ENCODER_JSON,
        1_042_301,
        "sha256:196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
        url=f"{_ADDRESS}{ENCODER_JSON}",
        also_named=("vocab.json",),
    ),
)
_TEXT_FROM = (
    "the data set HuggingFaceFW/fineweb-edu on the Hugging Face hub, folder "
    "sample/10BT: all of its files, in one folder"
)
_SEQUENCE_TOKENS = CONTEXT_LENGTH + 1
LEAST_TOKENS = {
    "train": math.ceil(LEAST_SHARE_OF_TRAIN * FINEWEBEDU_LM.examples["train"])
    * _SEQUENCE_TOKENS,
    "val": FINEWEBEDU_LM.examples["validation"] * _SEQUENCE_TOKENS,
}
Texts = Callable[[Path], Iterator[list[str]]]
# Pattern of the raw files -> how they are read.
_READERS: dict[str, Texts] = {
    "*.parquet": parquet_texts,
    "*.jsonl": json_texts,
    "*.jsonl.gz": json_texts,
}


@dataclass(frozen=True)
class Tokenizer:
    """The files of a tokenizer and its size; tests have a smaller one."""

    files: tuple[RawFile, RawFile] = TOKENIZER
    vocab_size: int = VOCAB_SIZE


def preparation(
    tokenizer: Tokenizer | None = None, least_tokens: Mapping[str, int] | None = None
) -> Preparation:
    """FineWeb-Edu from parquet, JSON Lines, or flat token files.

    `least_tokens` are what `train` and `val` need; tests have fewer.
    """
    tokenizer = tokenizer or Tokenizer()
    least = LEAST_TOKENS if least_tokens is None else least_tokens
    texts = [
        Source(
            f"{pattern} files of text",
            (RawFile(pattern, how_to_get=_TEXT_FROM), *tokenizer.files),
            functools.partial(_units, tokenizer, pattern),
            functools.partial(_finish, tokenizer, least),
        )
        for pattern in _READERS
    ]
    flat = Source(
        "flat token files",
        tuple(
            RawFile(f"{stem}.bin", how_to_get="your own tokenisation")
            for stem in STEM.values()
        ),
        functools.partial(_flat_units, tokenizer.vocab_size),
        functools.partial(_finish_flat, least),
    )
    return Preparation(
        folder=FOLDER,
        summary="FineWeb-Edu (sample-10BT) as GPT-2 tokens",
        # How many documents there are is not published: tokens are counted instead.
        parts=(Part("fineweb_edu", {}, (*texts, flat)),),
        bytes_per_s=BYTES_PER_S,
    )


def _units(
    tokenizer: Tokenizer, pattern: str, raw: Raw, folder: Path
) -> Sequence[Unit]:
    # Not what macOS leaves beside each.
    found = sorted(raw[pattern].parent.glob(pattern))
    files = [path for path in found if not path.name.startswith(".")]
    rate = TOKEN_BYTES_PER_RAW_BYTE[pattern.rpartition(".")[2]]
    # Loaded once, and here: a tokenizer that is damaged is refused before the work.
    encoding = load_gpt2(raw[VOCAB_BPE], raw[ENCODER_JSON], tokenizer.vocab_size)
    return [
        Unit(
            f"tokens/{file.name.removesuffix(pattern[1:])}.bin",
            "",
            int(file.stat().st_size * rate),
            functools.partial(_tokenise, encoding, _READERS[pattern], file),
        )
        for file in files
    ]


def _tokenise(encoding: Any, texts: Texts, source: Path, target: Path) -> int:
    """Writes the tokens of a raw file; returns how many documents have any."""
    end = encoding.encode_single_token(END_OF_TEXT)
    threads, count = os.cpu_count() or 1, 0
    with target.open("wb") as file:
        for some in texts(source):
            for tokens in _encode(encoding, some, threads, source):
                if tokens:  # an empty document is none, as for AlgoPerf
                    np.asarray([*tokens, end], TOKEN_DTYPE).tofile(file)
                    count += 1
    if not count:
        raise UserError(f"{source} has no document with any text. Fetch it again.")
    return count


def _encode(
    encoding: Any, texts: list[str], threads: int, source: Path
) -> list[list[int]]:
    try:
        return encoding.encode_ordinary_batch(texts, num_threads=threads)
    except BaseException as error:
        # Of tiktoken's regular expressions, on a million spaces in a row; it has no
        # public class, and is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise UserError(
            f"{source} has a document that cannot be tokenised ({error}), one of those "
            f"that begin with {[text[:30] for text in texts if len(text) > 500_000]}. "
            "Shorten its white space, or take it out."
        ) from None


def _finish(
    tokenizer: Tokenizer, least: Mapping[str, int], raw: Raw, folder: Path, made: Made
) -> Sequence[str]:
    """Writes the index: which documents each split has, and in which order."""
    names = sorted(made)
    which, starts, lengths = _documents(folder, names, tokenizer.vocab_size - 1)
    # NumPy may change what its generators draw; the index keeps what was drawn.
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(lengths))
    num_train = int(TRAIN_SHARE * len(order))
    splits = dict(
        zip(STEM.values(), (order[:num_train], order[num_train:]), strict=True)
    )
    found = {stem: int(lengths[rows].sum()) for stem, rows in splits.items()}
    _check_tokens(least, found, sorted(made))
    tokens = {}
    for stem, rows in splits.items():
        ends = np.cumsum(lengths[rows])
        tokens[stem] = {"documents": len(rows), "tokens": found[stem]}
        documents = np.stack([which[rows], starts[rows], ends])
        _replace(folder / documents_name(stem), functools.partial(_save, documents))
    index = {"files": names, "vocab_size": tokenizer.vocab_size, "splits": tokens}
    content = json.dumps(index, indent=1).encode()
    _replace(folder / INDEX, lambda path: path.write_bytes(content))
    return [*(documents_name(stem) for stem in STEM.values()), INDEX]


def _documents(
    folder: Path, names: Sequence[str], end_of_text: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number of its file, start in it, and length of every document; int64 each."""
    parts = []
    for number, name in enumerate(names):
        tokens = map_tokens(folder / name)
        ends = np.concatenate(
            [
                start
                + np.flatnonzero(tokens[start : start + _SCAN_TOKENS] == end_of_text)
                for start in range(0, len(tokens), _SCAN_TOKENS)
            ]
        )
        lengths = np.diff(ends + 1, prepend=0)
        parts.append((np.full(len(ends), number), ends + 1 - lengths, lengths))
    which, starts, lengths = (
        np.concatenate(columns) for columns in zip(*parts, strict=True)
    )
    return which, starts, lengths


def _save(array: np.ndarray, path: Path) -> None:
    with path.open("wb") as file:  # `np.save` of a path would append a suffix
        np.save(file, array)


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    """Writes a file so that it appears under its name when it is whole."""
    new = path.with_name(f".{path.name}.unfinished")
    write(new)
    os.replace(new, path)


def _check_tokens(
    least: Mapping[str, int], found: Mapping[str, int], names: Sequence[str]
) -> None:
    for stem, wanted in least.items():
        if found[stem] < wanted:
            raise UserError(
                f"{FOLDER} has {found[stem]:,} tokens in {stem}, and needs {wanted:,}: "
                f"raw files are missing. There are {', '.join(names)}. Put the others "
                "beside the raw files of these, and run this again."
            )


def _finish_flat(
    least: Mapping[str, int], raw: Raw, folder: Path, made: Made
) -> Sequence[str]:
    found = {Path(name).stem: entry.records for name, entry in made.items()}
    _check_tokens(least, found, sorted(made))
    return ()


def _flat_units(vocab_size: int, raw: Raw, folder: Path) -> Sequence[Unit]:
    check = functools.partial(_check_flat, vocab_size)
    return [copied(path, folder, name, "", check) for name, path in raw.items()]


def _check_flat(vocab_size: int, path: Path) -> int:
    """Counts the tokens of a flat file, and looks at all of them.

    Raises:
      UserError: a token is beyond the vocabulary, or the last one is incomplete.
    """
    tokens = map_tokens(path)
    for start in range(0, len(tokens), _SCAN_TOKENS):
        part = tokens[start : start + _SCAN_TOKENS]
        if part.max() >= vocab_size:
            where = start + int(np.argmax(part >= vocab_size))
            raise UserError(
                f"{path.name} has token {tokens[where]} at place {where:,}; GPT-2 has "
                f"0 to {vocab_size - 1:,}. Tokenise it with GPT-2's vocabulary."
            )
    return len(tokens)
