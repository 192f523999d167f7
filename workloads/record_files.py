"""Records of a data set in TFDS's layout, as bytes, at random from its ArrayRecord."""

import bisect
import itertools
import resource
from pathlib import Path

from algoperf.facts import UserError
from workloads.tfds_layout import ARRAY_RECORD, Layout, read_layout

# No reading ahead: records are asked for at random.
_READER_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"
_SPARE_FILES = 256  # besides the shards, for the rest of the process


class RecordFiles:
    """The records of one split, by index; any number of threads may read at once.

    Opening reads the ends of the shards, not the records, and keeps all shards open.
    """

    def __init__(
        self, home: Path, name: str, version: str, split: str, noun: str = "record"
    ):
        """Opens a split of the data set `name` in the folder `home`.

        Raises:
          UserError: it is another data set or version, there is no such split, or a
            shard is missing, cut short, or has another number of records than
            `dataset_info.json` says. Records are called by their `noun`.
        """
        layout = read_layout(home)
        layout.check_is(name, version)
        _check(layout, split)
        self._noun = noun
        lengths = layout.shard_lengths[split]
        paths = [layout.shard(split, index) for index in range(len(lengths))]
        _allow_open_files(len(paths))
        self._paths = paths
        self._readers = [
            _open(path, length, noun)
            for path, length in zip(paths, lengths, strict=True)
        ]
        self._ends = list(itertools.accumulate(lengths))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> bytes:
        """One record.

        Raises:
          IndexError: no record has this index.
          UserError: the shard is damaged there.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"{self._noun} {index} of {len(self):,}")
        shard, row = self._locate(index)
        try:
            return self._readers[shard].read([row])[0]
        except (IndexError, RuntimeError) as error:
            raise damaged_shard(self._paths[shard], f"record {row}: {error}") from None

    def path(self, index: int) -> Path:
        """The shard that a record is in."""
        return self._paths[self._locate(index)[0]]

    def close(self) -> None:
        """Closes the shards."""
        for reader in self._readers:
            reader.close()

    def _locate(self, index: int) -> tuple[int, int]:
        shard = bisect.bisect_right(self._ends, index)
        return shard, int(index) - (self._ends[shard - 1] if shard else 0)


def damaged_shard(path: Path, problem: str) -> UserError:
    """The error for a shard, and what to do."""
    return UserError(
        f"{path} is damaged: {problem}. `algoperf prepare --verify` finds all such "
        "files, and `algoperf prepare` makes them again."
    )


def _check(layout: Layout, split: str) -> None:
    if layout.file_format != ARRAY_RECORD:
        raise UserError(
            f"{layout.home} has {layout.file_format} shards, which cannot be read at "
            "random. `algoperf prepare` converts them."
        )
    if not layout.shard_lengths.get(split):
        has = ", ".join(layout.shard_lengths) or "none"
        raise UserError(
            f"{layout.home} has no split {split!r}; it has: {has}. Prepare it again: "
            "algoperf prepare."
        )


def _open(path: Path, length: int, noun: str):
    from array_record.python.array_record_module import ArrayRecordReader

    if not path.exists():
        raise damaged_shard(path, "it is missing")
    reader = ArrayRecordReader(str(path), _READER_OPTIONS)
    # The library reads a file that is cut short as one without records.
    found = reader.num_records() if reader.ok() else 0
    if found != length:
        problem = f"it has {found:,} {noun}s, and should have {length:,}"
        raise damaged_shard(path, problem)
    return reader


def _allow_open_files(count: int) -> None:
    """Raises the process's own limit of open files where the system allows it.

    TFDS makes 1,024 shards of ImageNet's training set, and 1,024 is the usual limit.

    Raises:
      UserError: the system does not allow so many.
    """
    needed = count + _SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise UserError(
            f"{count:,} shards have to be open at once, and this system allows "
            f"{hard:,} open files; raise it: ulimit -Hn {needed}."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
