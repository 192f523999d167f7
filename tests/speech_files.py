"""A tiny LibriSpeech in the formats of the official files: real FLAC, real texts."""

import csv
import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from algoperf.facts import Split
from algoperf.prepare.plan import Preparation, RawFile
from algoperf.prepare.run import prepare
from workloads.librispeech.files import SUBSETS
from workloads.librispeech.prepare import Sizes, preparation
from workloads.librispeech.tokenizers import END

VOCAB_SIZE = 48
_SENTENCE = (
    "THE CAT SAT ON A MAT AND IT'S COLD BUT DON'T MIND SUCH WEATHER WHEN YOU ARE "
    "BRAVE QUICK JUMPING FOXES VEX LAZY DOGS"
)
WORDS = _SENTENCE.split()
SPEAKERS = dict.fromkeys(("train-clean-100", "train-clean-360", "dev-clean"), 2)
PER_SPEAKER = {"train-clean-100": 12, "train-clean-360": 3, "train-other-500": 2}
EXAMPLES: Mapping[Split, int] = {
    "train": 24 + 6 + 2,
    "eval_train": 5,
    "validation": 5,
    "test": 2,
}
_NUMBER = {subset: i for i, subset in enumerate(sum(SUBSETS.values(), ()))}


def names(subset: str) -> list[str]:
    """The ids of a subset's utterances, in order."""
    per_speaker = PER_SPEAKER.get(subset, 2 if subset != "dev-other" else 1)
    return [
        f"{100 * _NUMBER[subset] + 11 + speaker}-{700 + speaker}-{i:04d}"
        for speaker in range(SPEAKERS.get(subset, 1))
        for i in range(per_speaker)
    ]


def names_of(split: str) -> list[str]:
    return [name for subset in SUBSETS[split] for name in names(subset)]


def _random(name: str) -> np.random.Generator:
    return np.random.default_rng([int(part) for part in name.split("-")])


def transcript(name: str) -> str:
    return " ".join(_random(name).choice(WORDS, 6))


def samples(name: str) -> np.ndarray:
    """Noise of low frequencies, int16, half a second to a second."""
    random = _random(name)
    noise = np.cumsum(random.normal(size=random.integers(8_000, 16_000)))
    return np.rint(300 * (noise - noise.mean())).clip(-30_000, 30_000).astype(np.int16)


def flac(pcm: np.ndarray, rate_hz: int = 16_000, subtype: str = "PCM_16") -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, pcm, rate_hz, format="FLAC", subtype=subtype)
    return stream.getvalue()


def subset_files(
    subset: str,
    audio: Mapping[str, bytes] = {},
    texts: Mapping[str, str] = {},
) -> dict[str, bytes]:
    """Path -> content, as tar has them; `audio` and `texts` take the place of ours."""
    files: dict[str, bytes] = {}
    lines: dict[str, list[str]] = {}
    for name in names(subset):
        speaker, chapter, _ = name.split("-")
        folder = f"LibriSpeech/{subset}/{speaker}/{chapter}"
        text = texts.get(name, transcript(name))
        lines.setdefault(f"{folder}/{speaker}-{chapter}.trans.txt", []).append(
            f"{name} {text}".strip()
        )
        files[f"{folder}/{name}.flac"] = audio.get(name) or flac(samples(name))
    return files | {
        path: "".join(f"{line}\n" for line in content).encode()
        for path, content in lines.items()
    }


def write_archives(folder: Path, beside: Mapping[str, bytes] = {}, **changes) -> Path:
    """`<subset>.tar.gz` of every subset; `beside` are files of others."""
    folder.mkdir(parents=True, exist_ok=True)
    for subset in _NUMBER:
        more = {path: file for path, file in beside.items() if f"/{subset}/" in path}
        with tarfile.open(folder / f"{subset}.tar.gz", "w:gz") as archive:
            for path, content in (more | subset_files(subset, **changes)).items():
                member = tarfile.TarInfo(path)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return folder


def write_folders(folder: Path, beside: Mapping[str, bytes] = {}, **changes) -> Path:
    """The same unpacked, with the table of speakers."""
    rows = []
    for subset in _NUMBER:
        for path, content in subset_files(subset, **changes).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        speakers = {name.split("-")[0] for name in names(subset)}
        rows += [f"{speaker} | F | {subset} | 25 | A. B." for speaker in speakers]
    for path, content in beside.items():
        (folder / path).write_bytes(content)
    table = "\n".join([";ID |SEX| SUBSET |MINUTES| NAME", *rows])
    (folder / "LibriSpeech/SPEAKERS.TXT").write_text(table)
    return folder


def librispeech(**changes) -> Preparation:
    """The preparation of so few files."""
    files = {subset: RawFile(f"{subset}.tar.gz") for subset in _NUMBER}
    examples = {split: EXAMPLES[split] for split in SUBSETS}
    sizes = {"examples": examples, "archives": files, "vocab_size": VOCAB_SIZE}
    return preparation(Sizes(**(sizes | changes)))


def write_prepared(folder: Path, **changes) -> Path:
    """A prepared data set below `folder`; returns its own folder."""
    source = write_archives(folder / "raw", **changes)
    prepare(librispeech(), source, folder / "data", lambda line: None)
    return folder / "data" / "librispeech"


def write_damaged(folder: Path, names: Sequence[str]) -> Path:
    """The same with audio that ends too early, which happened after it was prepared."""
    audio = {name: flac(samples(name))[:-400] for name in names}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workloads.librispeech.records.decode_flac", lambda *_: None)
        return write_prepared(folder, audio=audio)


def write_npy(folder: Path, tokenizer: Path) -> Path:
    """What AlgoPerf's preparation leaves: CSV and .npy files."""
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_file=str(tokenizer))
    folder.mkdir(parents=True)
    (folder / "spm_model.vocab").write_bytes(tokenizer.read_bytes())
    for subset in _NUMBER:
        (folder / subset).mkdir()
        with open(folder / f"{subset}.csv", "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["", "id"])
            for row, name in enumerate(names(subset)):
                table.writerow([row, name])
                tokens = [*processor.encode(transcript(name)), END]
                stem = folder / subset / name
                np.save(f"{stem}_audio.npy", samples(name).astype(np.int64))
                np.save(f"{stem}_targets.npy", np.array(tokens, np.int32))
    return folder
