"""LibriSpeech's utterances, by index, from the two layouts that can be read.

Ours is TFDS's layout with ArrayRecord shards: `id`, `audio` (FLAC as it was published)
and `transcript`. It holds no tokens, so that a tokenizer cannot fall out of step with
it; encoding a transcript takes 1 % of the time that decoding its audio takes.

AlgoPerf's has a CSV file per subset, and two `.npy` files per utterance.
"""

import csv
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from algoperf.facts import Split, UserError
from workloads.librispeech.flac import CorruptAudio, decode_flac
from workloads.librispeech.tokenizers import Tokenizer, tokens_of
from workloads.record_files import RecordFiles, damaged_shard
from workloads.tfds_layout import INFO, example_type

NAME, VERSION = "librispeech", "1.0.0"
HOME = VERSION  # relative to the folder of the data set
# The subsets of LibriSpeech (Panayotov et al. 2015) that make up each split.
SUBSETS: Mapping[str, tuple[str, ...]] = {
    "train": ("train-clean-100", "train-clean-360", "train-other-500"),
    "validation": ("dev-clean", "dev-other"),
    "test": ("test-clean",),
}
_INT16 = np.iinfo(np.int16)


class Utterance(NamedTuple):
    """An utterance whose audio is not decoded yet.

    `samples()` returns int16 [sample], at 16 kHz, or raises `CorruptAudio`.
    """

    name: str
    tokens: Sequence[int]  # with the end
    samples: Callable[[], np.ndarray]


class Utterances(Protocol):
    """The utterances of a split; any number of threads may read at once."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Utterance: ...


def open_utterances(folder: Path, split: Split, tokenizer: Tokenizer) -> Utterances:
    """The utterances of `train`, `validation` or `test` in whichever layout is there.

    Raises:
      UserError: files are missing or damaged.
    """
    if (folder / HOME / INFO).exists():
        return RecordedUtterances(folder, split, tokenizer)
    return NpyUtterances(folder, split)


class RecordedUtterances:
    """Utterances in our layout."""

    def __init__(self, folder: Path, split: Split, tokenizer: Tokenizer):
        self._records = RecordFiles(folder / HOME, NAME, VERSION, split, "utterance")
        self._tokenizer = tokenizer
        self._parse = example_type().FromString

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Utterance:
        record = self._records[index]
        try:
            feature = self._parse(record).features.feature
            name, audio, transcript = (
                feature[key].bytes_list.value[0]
                for key in ("id", "audio", "transcript")
            )
        except Exception as error:  # protobuf's is of no public class
            problem = f"no id, audio and transcript in a record ({error})"
            raise damaged_shard(self._records.path(index), problem) from None
        name = name.decode()
        return Utterance(
            name,
            tokens_of(self._tokenizer, transcript.decode()),
            functools.partial(decode_flac, audio, name),
        )


class NpyUtterances:
    """Utterances as AlgoPerf's preparation has them, in the order of its CSV files."""

    def __init__(self, folder: Path, split: Split):
        self._stems = [
            str(folder / subset / name)
            for subset in SUBSETS[split]
            for name in _ids(folder / f"{subset}.csv")
        ]

    def __len__(self) -> int:
        return len(self._stems)

    def __getitem__(self, index: int) -> Utterance:
        stem = self._stems[index]
        path = Path(f"{stem}_targets.npy")
        try:
            tokens = _integers(path)
        except CorruptAudio as error:
            raise UserError(
                f"{path} is damaged: {error.reason}. Copy it again from where it was "
                "prepared."
            ) from None
        audio = Path(f"{stem}_audio.npy")
        return Utterance(
            Path(stem).name, tokens.tolist(), functools.partial(_pcm, audio)
        )


def _ids(path: Path) -> list[str]:
    if not path.exists():
        raise UserError(
            f"{path} is missing: AlgoPerf's preparation has not ended. Run it again, "
            "or `algoperf prepare --workload=librispeech_conformer`."
        )
    try:
        with open(path, newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            rows = [(table.line_num, row.get("id")) for row in table]
            columns = table.fieldnames or ()
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path} is damaged: {error}. Copy it again from where it was prepared."
        ) from None
    if "id" not in columns:
        raise UserError(
            f"{path} has the columns {', '.join(columns) or 'none'}; it needs `id`. "
            "Prepare it again."
        )
    for line, found in rows:
        if not found:
            raise UserError(
                f"{path} has no `id` in line {line:,}: it is damaged or cut short. "
                "Copy it again from where it was prepared."
            )
    return [found for _, found in rows if found]


def _pcm(path: Path) -> np.ndarray:
    samples = _integers(path)
    if samples.size and (samples.min() < _INT16.min or samples.max() > _INT16.max):
        raise CorruptAudio(
            path.name,
            f"its samples go from {samples.min()} to {samples.max()}, beyond 16 bits",
        )
    return samples.astype(np.int16)


def _integers(path: Path) -> np.ndarray:
    """An array of integers with one axis."""
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing; its CSV file has it. Copy the folder again."
        ) from None
    except (OSError, EOFError, ValueError) as error:
        raise CorruptAudio(path.name, str(error)) from None
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise CorruptAudio(
            path.name, f"it has {array.dtype} {array.shape}, not integers in a row"
        )
    return array
