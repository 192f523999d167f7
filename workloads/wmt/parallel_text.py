"""Pairs of sentences as text: files with a sentence a line, or shards of TFDS."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from algoperf.facts import UserError
from algoperf.prepare.plan import Raw
from workloads.tfds_layout import Layout, example_type, read_records
from workloads.tfds_source import origin, prepared_layout

LANGUAGES = ("de", "en")  # source, target

Pair = tuple[str, str]


class Piece(NamedTuple):
    """A part of a split that is read on its own: about so many bytes."""

    bytes: int
    read: Callable[[], Iterator[Pair]]


def text_pieces(source: Path, target: Path, lines: int) -> list[Piece]:
    """Two files with a sentence a line, line i of one being line i of the other.

    Only line feeds end lines, and empty ones count: a sentence may be empty. There are
    `lines` of each file in a piece.

    Raises:
      UserError: the files have not as many lines. While reading: text that is not
        UTF-8.
    """
    source_starts, source_count = _line_starts(source, lines)
    target_starts, target_count = _line_starts(target, lines)
    if source_count != target_count:
        raise UserError(
            f"{source} has {source_count:,} lines and {target} has {target_count:,}; "
            "line i of one must be the translation of line i of the other. Fetch them "
            "again."
        )
    size_bytes = source.stat().st_size + target.stat().st_size
    both = zip(source_starts, target_starts, strict=True)
    return [
        Piece(
            size_bytes // len(source_starts),
            functools.partial(
                _read_lines, (source, target), offsets, number * lines, lines
            ),
        )
        for number, offsets in enumerate(both)
    ]


def tfds_pieces(raw: Raw, prepared: str, split: str) -> list[Piece]:
    """The shards of a split that TFDS has prepared, as TFRecord or ArrayRecord.

    Raises:
      UserError: the folder is incomplete, damaged, or of another data set. While
        reading: records without the two languages, or text that is not UTF-8.
    """
    layout = prepared_layout(raw, prepared, (split,))
    return [
        Piece(
            origin(layout, split, index)[0].stat().st_size,
            functools.partial(_read_shard, layout, split, index),
        )
        for index in range(len(layout.shard_lengths[split]))
    ]


def _line_starts(path: Path, every: int) -> tuple[list[int], int]:
    """Where each `every`-th line begins, and how many lines there are."""
    starts, count, offset = [0], 0, 0
    with open(path, "rb") as file:
        for line in file:
            offset += len(line)
            count += 1
            if count % every == 0:
                starts.append(offset)
    if len(starts) > 1 and starts[-1] == offset:
        starts.pop()
    return starts, count


def _read_lines(
    paths: tuple[Path, Path], offsets: tuple[int, int], first: int, count: int
) -> Iterator[Pair]:
    with open(paths[0], "rb") as source, open(paths[1], "rb") as target:
        for file, offset in zip((source, target), offsets, strict=True):
            file.seek(offset)
        lines = itertools.islice(zip(source, target, strict=True), count)
        for number, pair in enumerate(lines, start=first + 1):
            yield _decoded(pair, lambda side, n=number: f"{paths[side]}, line {n},")


def _read_shard(layout: Layout, split: str, index: int) -> Iterator[Pair]:
    path, file_format = origin(layout, split, index)
    example, number = example_type()(), -1
    for number, record in enumerate(read_records(path, file_format)):
        try:
            example.ParseFromString(record)
        except Exception as error:  # protobuf's is of no public class
            raise UserError(
                f"{path}: record {number} is no tf.train.Example ({error}). Prepare "
                "wmt again."
            ) from None
        feature = example.features.feature
        absent = [
            name
            for name in LANGUAGES
            if name not in feature or not feature[name].bytes_list.value
        ]
        if absent:
            raise UserError(
                f"{path}: record {number} has no {absent[0]!r}; it has: "
                f"{', '.join(sorted(feature)) or 'nothing'}. Prepare wmt again with "
                "TFDS's wmt17_translate/de-en and wmt14_translate/de-en."
            )
        texts = [feature[name].bytes_list.value[0] for name in LANGUAGES]
        yield _decoded(texts, lambda _, n=number: f"{path}: record {n}")
    wanted = layout.shard_lengths[split][index]
    if number + 1 != wanted:
        raise UserError(
            f"{path} has {number + 1:,} records, and its dataset_info.json says "
            f"{wanted:,}; fetch the shard again."
        )


def _decoded(raw: Sequence[bytes], where: Callable[[int], str]) -> Pair:
    texts = []
    for side, line in enumerate(raw):
        try:
            texts.append(line.removesuffix(b"\n").decode("utf-8"))
        except UnicodeDecodeError as error:
            raise UserError(
                f"{where(side)} is not UTF-8: byte {line[error.start]:#04x} at "
                f"{error.start}. Fetch it again, or convert it (iconv -t utf-8)."
            ) from None
    return texts[0], texts[1]
