"""Prepares LibriSpeech: its FLAC files in ArrayRecord, and a tokenizer.

Audio is copied as it was published, not encoded again. As AlgoPerf does it, utterances
of more than 20 s or 256 characters are left out, and the tokenizer is a SentencePiece
model of the transcripts of train-clean-100.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from algoperf.facts import UserError
from algoperf.prepare.plan import (
    Made,
    Part,
    Preparation,
    Raw,
    RawFile,
    Source,
    Unit,
    nothing_to_finish,
)
from workloads.copied_files import copied
from workloads.librispeech.facts import TOKENIZER_FILE
from workloads.librispeech.files import HOME, NAME, SUBSETS, VERSION
from workloads.librispeech.raw_speech import (
    ROOT,
    RawUtterance,
    from_archive,
    from_folders,
    speaker_folders,
    transcripts_of,
)
from workloads.librispeech.records import write_utterances
from workloads.librispeech.tokenizers import (
    VOCAB_SIZE,
    SentencePieceTokenizer,
    train_sentencepiece,
)
from workloads.tfds_layout import (
    INFO,
    descriptions,
    shard_name,
    write_info,
)

TOKENIZER_SUBSET = "train-clean-100"
SPEAKERS_PER_SHARD = 25  # of unpacked archives; about 600 MB
_TOKENIZER_BYTES = 260_000
_ADDRESS = "https://www.openslr.org/resources/12/"

# Bytes and SHA-256: TFDS, datasets/librispeech/checksums.tsv.
_PUBLISHED = {
    "train-clean-100": (
        6_387_309_499,
        "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
    ),
    "train-clean-360": (
        23_049_477_885,
        "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf",
    ),
    "train-other-500": (
        30_593_501_606,
        "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2",
    ),
    "dev-clean": (
        337_926_286,
        "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3",
    ),
    "dev-other": (
        314_305_928,
        "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365",
    ),
    "test-clean": (
        346_663_984,
        "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23",
    ),
}
# Subset -> its archive, as published.
ARCHIVES: Mapping[str, RawFile] = {
    subset: RawFile(
        f"{subset}.tar.gz",
        size,
        f"sha256:{digest}",
        url=f"{_ADDRESS}{subset}.tar.gz",
    )
    for subset, (size, digest) in _PUBLISHED.items()
}
# What reads utterances -> (about so many bytes, path of a shard).
Read = Callable[[], Iterable[RawUtterance]]


@dataclass(frozen=True)
class Sizes:
    """What the whole data set has; tests have less."""

    examples: Mapping[str, int] = field(
        default_factory=lambda: {"train": 263_840, "validation": 5_348, "test": 2_472}
    )
    archives: Mapping[str, RawFile] = field(default_factory=lambda: ARCHIVES)
    vocab_size: int = VOCAB_SIZE


def preparation(sizes: Sizes | None = None) -> Preparation:
    """LibriSpeech without test-other, which no workload reads."""
    sizes = sizes or Sizes()
    unpacked = {
        subset: RawFile(f"{ROOT}/{subset}", how_to_get=f"tar -xzf {subset}.tar.gz")
        for subset in sizes.archives
    }
    sources = [
        Source(
            title,
            tuple(files.values()),
            functools.partial(units, files),
            _finish,
        )
        for title, files, units in (
            ("the official archives", sizes.archives, _archive_units),
            ("unpacked archives", unpacked, _folder_units),
        )
    ]
    return Preparation(
        folder=NAME,
        summary="LibriSpeech",
        parts=(
            Part("tokenizer", {}, _tokenizer_sources(sizes, unpacked)),
            Part("speech", sizes.examples, tuple(sources)),
        ),
        bytes_per_s=40e6,  # all of it is decoded, by one thread
    )


def _tokenizer_sources(
    sizes: Sizes, unpacked: Mapping[str, RawFile]
) -> tuple[Source, ...]:
    """A model that is there is taken, for the sake of its pieces; else one is trained.

    Somebody who has AlgoPerf's own model so gets the same tokens.
    """
    ready = RawFile(TOKENIZER_FILE, how_to_get="AlgoPerf's preparation")
    raw = [files[TOKENIZER_SUBSET] for files in (sizes.archives, unpacked)]
    return (
        Source(
            ready.name,
            (ready,),
            functools.partial(_copy_tokenizer, sizes.vocab_size),
            nothing_to_finish,
        ),
        *(
            Source(
                f"transcripts in {file.name}",
                (file,),
                functools.partial(_train_tokenizer, file.name, sizes.vocab_size),
                nothing_to_finish,
            )
            for file in raw
        ),
    )


def _copy_tokenizer(vocab_size: int, raw: Raw, folder: Path) -> list[Unit]:
    """Looks at the file before anything is made: all that follows depends on it."""

    def check(path: Path) -> int:
        found = SentencePieceTokenizer(path).vocab_size
        if found != vocab_size:
            raise UserError(
                f"{path} has {found:,} pieces, and LibriSpeech's models {vocab_size:,}."
                " Put AlgoPerf's own in its place, or move it away: then one is "
                "trained on the transcripts."
            )
        return 0

    source = raw[TOKENIZER_FILE]
    check(source)
    return [copied(source, folder, TOKENIZER_FILE, "", check)]


def _train_tokenizer(name: str, vocab_size: int, raw: Raw, folder: Path) -> list[Unit]:
    def make(path: Path) -> int:
        transcripts = transcripts_of(raw[name])
        path.write_bytes(train_sentencepiece(transcripts, vocab_size))
        return 0

    return [Unit(TOKENIZER_FILE, "", _TOKENIZER_BYTES, make)]


def _archive_units(files: Mapping[str, RawFile], raw: Raw, folder: Path) -> list[Unit]:
    """A shard for each archive: it can only be read from its beginning."""
    units = []
    for split, subsets in SUBSETS.items():
        paths = [raw[files[subset].name] for subset in subsets]
        reads = [
            (path.stat().st_size, functools.partial(from_archive, path))
            for path in paths
        ]
        units += _shards(split, reads, folder)
    return units


def _folder_units(files: Mapping[str, RawFile], raw: Raw, folder: Path) -> list[Unit]:
    """A shard for every few speakers: a killed run loses seconds."""
    units = []
    for split, subsets in SUBSETS.items():
        reads: list[tuple[int, Read]] = []
        for subset in subsets:
            speakers = speaker_folders(raw[files[subset].name])
            for start in range(0, len(speakers), SPEAKERS_PER_SHARD):
                group = speakers[start : start + SPEAKERS_PER_SHARD]
                read = functools.partial(from_folders, group)
                reads.append((_bytes_in(group), read))
        units += _shards(split, reads, folder)
    return units


def _bytes_in(folders: Sequence[Path]) -> int:
    return sum(
        path.stat().st_size for folder in folders for path in folder.rglob("*.flac")
    )


def _shards(split: str, reads: Sequence[tuple[int, Read]], folder: Path) -> list[Unit]:
    return [
        Unit(
            f"{HOME}/{shard_name(NAME, split, number, len(reads))}",
            split,
            size_bytes,
            functools.partial(_write, read, folder / TOKENIZER_FILE),
        )
        for number, (size_bytes, read) in enumerate(reads)
    ]


def _write(read: Read, tokenizer: Path, path: Path) -> int:
    return write_utterances(path, read(), SentencePieceTokenizer(tokenizer))


def _finish(raw: Raw, folder: Path, made: Made) -> list[str]:
    # Here, and not above: TFDS takes a while to import.
    import tensorflow_datasets as tfds

    # TFDS's own feature for audio needs TensorFlow; bytes are bytes.
    text = tfds.features.Text
    features = tfds.features.FeaturesDict(
        {"id": text(), "audio": text(), "transcript": text()}
    )
    shards = {
        split: [(e.records, e.bytes) for e in made.values() if e.split == split]
        for split in SUBSETS
    }
    write_info(folder / HOME, NAME, VERSION, features, shards)
    return [
        *(f"{HOME}/{path.name}" for path in descriptions(folder / HOME)),
        f"{HOME}/{INFO}",
    ]
