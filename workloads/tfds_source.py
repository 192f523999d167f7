"""Data sets that TFDS has prepared, as a source: taken as they are, or converted.

AlgoPerf's users have them as TFRecord, which cannot be read at random. The records are
the same in both formats, so they are copied as they are: no image is encoded again.
"""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

from algoperf.facts import UserError
from algoperf.prepare.plan import Made, Raw, RawFile, Source, Unit
from workloads.tfds_layout import (
    ARRAY_RECORD,
    FEATURES,
    INFO,
    TFRECORD,
    Layout,
    convert_info,
    descriptions,
    read_layout,
    read_records,
    write_records,
)


def tfds_source(prepared: str, splits: Sequence[str], home: str) -> Source:
    """The source of the data set in `prepared`, such as `imagenet2012/5.1.0`.

    Only `splits` are taken. The result is in `home`, relative to the folder of the
    data set; if it is found there in ArrayRecord, it stays as it is.
    """
    info = f"{prepared}/{INFO}"
    return Source(
        name=f"TFDS {prepared}",
        files=(RawFile(info, how_to_get="AlgoPerf's or TFDS's preparation"),),
        units=functools.partial(_units, info, splits, home),
        finish=functools.partial(_finish, info, splits, home),
    )


def _units(
    info: str, splits: Sequence[str], home: str, raw: Raw, folder: Path
) -> list[Unit]:
    layout = prepared_layout(raw, str(Path(info).parent), splits)
    in_place = layout.home.resolve() == (folder / home).resolve()
    units = []
    for split in splits:
        for index in range(len(layout.shard_lengths[split])):
            source, file_format = origin(layout, split, index)
            units.append(
                Unit(
                    path=f"{home}/{layout.shard(split, index, ARRAY_RECORD).name}",
                    split=split,
                    bytes=source.stat().st_size,
                    make=functools.partial(_make, layout, split, index),
                    adopt=in_place and file_format == ARRAY_RECORD,
                )
            )
    return units


def origin(layout: Layout, split: str, index: int) -> tuple[Path, str]:
    """A shard and its format, to read it from.

    Where a folder was converted in its place, the TFRecord shard is the origin still:
    a damaged shard can be made of it again.
    """
    old = layout.shard(split, index, TFRECORD)
    if old.exists():
        return old, TFRECORD
    return layout.shard(split, index), layout.file_format


def _make(layout: Layout, split: str, index: int, path: Path) -> int:
    """Copies the records of one shard; counts them where the shard stays."""
    source, file_format = origin(layout, split, index)
    records = read_records(source, file_format)
    if source.resolve() == path.resolve():
        count = _count(records)
    else:
        count = write_records(path, records)
    wanted = layout.shard_lengths[split][index]
    if count != wanted:
        raise UserError(
            f"{source} has {count:,} records, and {layout.home / INFO} says "
            f"{wanted:,}; fetch the shard again."
        )
    return count


def _count(records: Iterator[bytes]) -> int:
    return sum(1 for _ in records)


def _finish(
    info: str, splits: Sequence[str], home: str, raw: Raw, folder: Path, made: Made
) -> list[str]:
    source, target = raw[info].parent, folder / home
    if read_layout(source).file_format != ARRAY_RECORD or source.resolve() != (
        target.resolve()
    ):
        convert_info(source, target, splits)
    names = [path.name for path in descriptions(target)]
    return [f"{home}/{name}" for name in (*names, INFO)]


def prepared_layout(raw: Raw, prepared: str, splits: Sequence[str]) -> Layout:
    """What the folder of `prepared`, such as `imagenet2012/5.1.0`, has.

    Raises:
      UserError: it is of another data set or version, or something of it is missing.
    """
    layout = read_layout(raw[f"{prepared}/{INFO}"].parent)
    name, *_, version = prepared.split("/")
    layout.check_is(name, version)
    _check_shards(layout, splits)
    return layout


def _check_shards(layout: Layout, splits: Sequence[str]) -> None:
    """Refuses a folder without one of the splits, shards, or descriptions.

    Raises:
      UserError: what is missing is named.
    """
    for split in splits:
        if not layout.shard_lengths.get(split):
            has = ", ".join(layout.shard_lengths) or "none"
            raise UserError(
                f"{layout.home / INFO} has no split {split!r}; it has: {has}. "
                "Prepare the data set again."
            )
    wanted = [layout.home / FEATURES] + [
        origin(layout, split, index)[0]
        for split in splits
        for index in range(len(layout.shard_lengths[split]))
    ]
    absent = [path.name for path in wanted if not path.exists()]
    if absent:
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        raise UserError(
            f"{layout.home} is incomplete; missing: {', '.join(absent[:3])}{more}. "
            "Copy it again from where it was prepared."
        )
