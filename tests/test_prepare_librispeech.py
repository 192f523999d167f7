"""LibriSpeech from its archives to the reader, and what can be wrong on the way."""

import shutil

import pytest
import speech_files as raw

from algoperf.facts import UserError
from algoperf.prepare.run import prepare
from algoperf.prepare.verify import verify
from workloads.catalog import CATALOG
from workloads.files import presence, require
from workloads.librispeech.facts import TOKENIZER_FILE
from workloads.librispeech.files import HOME, SUBSETS, RecordedUtterances
from workloads.librispeech.prepare import ARCHIVES, Sizes
from workloads.librispeech.raw_speech import paired
from workloads.librispeech.tokenizers import (
    SentencePieceTokenizer,
    train_sentencepiece,
)

FACTS = CATALOG["librispeech_conformer"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data folder with LibriSpeech in it; tests only read it."""
    return raw.write_prepared(tmp_path_factory.mktemp("whole"))


def everything(folder, split):
    tokenizer = SentencePieceTokenizer(folder / TOKENIZER_FILE)
    files = RecordedUtterances(folder, split, tokenizer)
    return {
        utterance.name: (
            utterance.samples().tolist(),
            *tokenizer.decode_all([utterance.tokens]),
        )
        for utterance in (files[i] for i in range(len(files)))
    }


def expected(split):
    return {
        name: (raw.samples(name).tolist(), raw.transcript(name))
        for name in raw.names_of(split)
    }


def fails(tmp_path, write=raw.write_archives, **changes) -> str:
    source = write(tmp_path / "raw", **changes)
    with pytest.raises(UserError) as error:
        prepare(raw.librispeech(), source, tmp_path / "data", lambda _: None)
    assert not (tmp_path / "data/librispeech" / HOME / "dataset_info.json").exists()
    return str(error.value)


@pytest.mark.parametrize("split", SUBSETS)
def test_archives_become_records_with_their_transcripts(prepared, split):
    assert everything(prepared, split) == expected(split)


def test_the_tokenizer_is_that_of_the_first_subset(prepared):
    texts = [raw.transcript(name) for name in raw.names("train-clean-100")]
    wanted = train_sentencepiece(texts, raw.VOCAB_SIZE)
    assert (prepared / TOKENIZER_FILE).read_bytes() == wanted


def test_unpacked_archives_give_the_same(tmp_path, prepared):
    source = raw.write_folders(tmp_path / "raw")
    prepare(raw.librispeech(), source, tmp_path / "data", lambda _: None)
    folder = tmp_path / "data/librispeech"
    for split in SUBSETS:
        assert everything(folder, split) == expected(split)
    assert (folder / TOKENIZER_FILE).read_bytes() == (
        prepared / TOKENIZER_FILE
    ).read_bytes()


def test_tfds_reads_the_same(prepared):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(prepared / HOME)
    examples = list(builder.as_data_source(split="test"))
    assert [example["id"].decode() for example in examples] == raw.names_of("test")
    for example in examples:
        name = example["id"].decode()
        assert example["audio"] == raw.flac(raw.samples(name))
        assert example["transcript"].decode() == raw.transcript(name)


def test_it_is_there_when_it_is_prepared_and_verified(prepared, tmp_path):
    assert presence(FACTS, prepared.parent) == "prepared"
    copy = shutil.copytree(prepared.parent, tmp_path / "data")
    shard = next((copy / "librispeech" / HOME).glob("*-test.*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    (damage,) = verify(raw.librispeech(), copy, lambda _: None)
    assert damage.path == f"{HOME}/{shard.name}"
    assert presence(FACTS, copy) == "partial"


def test_algoperfs_folder_is_there_as_it_is(tmp_path, prepared):
    raw.write_npy(tmp_path / "librispeech", prepared / TOKENIZER_FILE)
    assert presence(FACTS, tmp_path) == "prepared"
    (tmp_path / "librispeech" / TOKENIZER_FILE).unlink()
    with pytest.raises(UserError, match=r"is incomplete .*missing: spm_model.vocab\."):
        require(FACTS, tmp_path)


def test_a_tokenizer_that_is_there_is_taken(tmp_path):
    source = raw.write_archives(tmp_path / "raw")
    texts = [f"{word} {word}" for word in raw.WORDS]
    mine = train_sentencepiece(texts, raw.VOCAB_SIZE)
    (source / TOKENIZER_FILE).write_bytes(mine)
    prepare(raw.librispeech(), source, tmp_path / "data", lambda _: None)
    assert (tmp_path / "data/librispeech" / TOKENIZER_FILE).read_bytes() == mine


def test_the_published_sizes_are_those_of_the_facts():
    sizes = Sizes()
    assert sizes.examples == {s: FACTS.examples[s] for s in SUBSETS}
    assert list(ARCHIVES) == [
        subset for subsets in SUBSETS.values() for subset in subsets
    ]


def test_what_is_too_long_is_left_out(tmp_path):
    """As AlgoPerf does: 20 s and 256 characters are still taken."""
    import numpy as np

    long, just, wordy, talk = raw.names("dev-clean")
    noise = np.random.default_rng(0).integers(-99, 99, 320_001).astype(np.int16)
    source = raw.write_archives(
        tmp_path / "raw",
        audio={long: raw.flac(noise), just: raw.flac(noise[:-1])},
        texts={wordy: "A" * 257, talk: "A CAT S" + "SAT " * 62 + "A"},
    )
    examples = {"train": raw.EXAMPLES["train"], "validation": 3, "test": 2}
    changed = raw.librispeech(examples=examples)
    prepare(changed, source, tmp_path / "data", lambda _: None)
    found = everything(tmp_path / "data/librispeech", "validation")
    assert set(found) == {just, talk, *raw.names("dev-other")}
    assert len(found[just][0]) == 320_000


def test_an_empty_transcript_is_kept(tmp_path):
    name = raw.names("test-clean")[1]
    source = raw.write_archives(tmp_path / "raw", texts={name: ""})
    prepare(raw.librispeech(), source, tmp_path / "data", lambda _: None)
    assert everything(tmp_path / "data/librispeech", "test")[name][1] == ""


def test_the_folder_of_the_subsets_may_be_the_raw_folder(tmp_path):
    source = raw.write_folders(tmp_path / "raw") / "LibriSpeech"
    lines: list[str] = []
    prepare(raw.librispeech(), source, tmp_path / "data", lines.append)
    assert everything(tmp_path / "data/librispeech", "test") == expected("test")
    assert f"    LibriSpeech/test-clean  a folder  {source}/test-clean" in lines


@pytest.mark.parametrize("write", [raw.write_archives, raw.write_folders])
def test_what_macos_leaves_beside_files_is_passed_over(tmp_path, write):
    junk = {}
    for subset in ("train-clean-100", "dev-clean"):
        first = raw.names(subset)[0]
        speaker, chapter, _ = first.split("-")
        folder = f"LibriSpeech/{subset}/{speaker}/{chapter}"
        junk[f"{folder}/._{first}.flac"] = b"\0\5\x16\7"
        junk[f"{folder}/._{speaker}-{chapter}.trans.txt"] = b"\xff\0\5"
    source = write(tmp_path / "raw", beside=junk)
    prepare(raw.librispeech(), source, tmp_path / "data", lambda _: None)
    found = everything(tmp_path / "data/librispeech", "validation")
    assert found == expected("validation")


# --- raw files that are not right ---------------------------------------------------


def test_a_tokenizer_of_another_size_is_refused_before_anything_is_made(tmp_path):
    source = raw.write_archives(tmp_path / "raw")
    texts = [f"{word} {word}" for word in raw.WORDS]
    path = source / TOKENIZER_FILE
    path.write_bytes(train_sentencepiece(texts, raw.VOCAB_SIZE - 5))
    with pytest.raises(UserError) as error:
        prepare(raw.librispeech(), source, tmp_path / "data", lambda _: None)
    assert str(error.value) == (
        f"{path} has 43 pieces, and LibriSpeech's models 48. Put AlgoPerf's own in its "
        "place, or move it away: then one is trained on the transcripts."
    )
    assert not list((tmp_path / "data/librispeech").rglob("*array_record*"))


def test_a_damaged_tokenizer_is_named_where_it_is(tmp_path):
    source = raw.write_archives(tmp_path / "raw")
    (source / TOKENIZER_FILE).write_bytes(b"THE 0\nCAT -1\n")
    with pytest.raises(UserError, match=f"{source / TOKENIZER_FILE} is no SentenceP"):
        prepare(raw.librispeech(), source, tmp_path / "data", lambda _: None)


def test_audio_that_is_cut_short_is_named(tmp_path):
    name = raw.names("dev-other")[0]
    whole = raw.flac(raw.samples(name))
    text = fails(tmp_path, audio={name: whole[: len(whole) // 2]})
    assert f"{name} is damaged audio: " in text


def test_a_transcript_of_too_many_tokens_is_named(tmp_path):
    name = raw.names("dev-other")[0]
    # Unknown letters, each between known ones, are pieces of their own.
    text = fails(tmp_path, texts={name: "ÄX" * 128})
    assert f"{name} is of 25" in text
    assert "tokens with this spm_model.vocab, and may be of 256" in text


def test_a_subset_that_is_a_file_is_named(tmp_path):
    source = raw.write_folders(tmp_path / "raw")
    shutil.rmtree(source / "LibriSpeech/dev-other")
    (source / "LibriSpeech/dev-other").write_bytes(b"")
    with pytest.raises(UserError, match=r"dev-other is no folder. Unpack dev-oth"):
        prepare(raw.librispeech(), source, tmp_path / "data", lambda _: None)


def test_audio_of_another_rate_is_refused(tmp_path):
    name = raw.names("dev-other")[0]
    text = fails(tmp_path, audio={name: raw.flac(raw.samples(name), 8_000)})
    assert f"{name} has 8,000 Hz, 1 channel and 16 bits; LibriSpeech has" in text


def test_what_is_no_flac_is_named(tmp_path):
    name = raw.names("dev-other")[0]
    text = fails(tmp_path, audio={name: b"<html>"})
    assert f"{name} is damaged audio: it begins with 3c 68 74 6d" in text


def test_an_archive_that_is_cut_short_is_named(tmp_path):
    source = raw.write_archives(tmp_path / "raw")
    path = source / "dev-clean.tar.gz"
    path.write_bytes(path.read_bytes()[:-3_000])
    with pytest.raises(UserError, match=f"{path} is damaged: .*fetch it again"):
        prepare(raw.librispeech(), source, tmp_path / "data", lambda _: None)


def test_missing_archives_are_named(tmp_path):
    source = raw.write_archives(tmp_path / "raw")
    (source / "train-other-500.tar.gz").unlink()
    with pytest.raises(UserError) as error:
        prepare(raw.librispeech(), source, tmp_path / "data", lambda _: None)
    assert "train-other-500.tar.gz  MISSING" in str(error.value)
    assert "LibriSpeech/train-other-500  MISSING" in str(error.value)


def test_a_missing_speaker_is_named(tmp_path):
    source = raw.write_folders(tmp_path / "raw")
    speaker = raw.names("train-clean-360")[-1].split("-")[0]
    shutil.rmtree(source / "LibriSpeech/train-clean-360" / speaker)
    with pytest.raises(UserError) as error:
        prepare(raw.librispeech(), source, tmp_path / "data", lambda _: None)
    assert str(error.value) == (
        f"{source}/LibriSpeech/train-clean-360 has no folder of speaker {speaker}, "
        "which SPEAKERS.TXT lists. Unpack train-clean-360.tar.gz again."
    )


def test_a_missing_speaker_is_counted_without_the_table(tmp_path):
    source = raw.write_folders(tmp_path / "raw")
    (source / "LibriSpeech/SPEAKERS.TXT").unlink()
    speaker = raw.names("train-clean-360")[-1].split("-")[0]
    shutil.rmtree(source / "LibriSpeech/train-clean-360" / speaker)
    with pytest.raises(UserError, match="speech has 29 examples in train, and should"):
        prepare(raw.librispeech(), source, tmp_path / "data", lambda _: None)


def test_an_empty_subset_is_named(tmp_path):
    source = raw.write_folders(tmp_path / "raw")
    (source / "LibriSpeech/SPEAKERS.TXT").unlink()
    shutil.rmtree(source / "LibriSpeech/dev-other")
    (source / "LibriSpeech/dev-other").mkdir()
    with pytest.raises(UserError, match=r"dev-other is empty. Unpack dev-other.tar.gz"):
        prepare(raw.librispeech(), source, tmp_path / "data", lambda _: None)


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"1-2-0.flac": b"x"}, "1-2-0 has audio and no transcript. Fetch"),
        (
            {"1-2.trans.txt": b"1-2-0 A\n1-2-1 B\n"},
            r"1-2-0 has a transcript and no audio \(1 more\)",
        ),
        ({"1-2.trans.txt": b"1-2-0 \xff"}, "1-2.trans.txt is damaged: it is no text"),
    ],
)
def test_audio_and_transcripts_have_to_belong_together(files, text):
    with pytest.raises(UserError, match=text):
        list(paired(files.items(), "there"))
