"""LibriSpeech's batches, from tiny files in the true formats."""

import itertools

import jax
import numpy as np
import pytest
import speech_files as raw

from algoperf.data import permutation
from algoperf.data_options import DataOptions
from algoperf.facts import EVAL_SPLITS, UserError
from workloads.librispeech.data import LibriSpeech, random_speech, unpacked
from workloads.librispeech.facts import TOKENIZER_FILE
from workloads.librispeech.flac import CorruptAudio, decode_flac, read_header
from workloads.librispeech.tokenizers import (
    SentencePieceTokenizer,
)

MAX_SAMPLES, MAX_TOKENS, BATCH = 16_000, 64, 4
TRAIN = raw.EXAMPLES["train"]
BROKEN = (raw.names_of("train")[3], raw.names_of("validation")[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return raw.write_prepared(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def npy(tmp_path_factory, folder):
    """The same utterances as AlgoPerf has them."""
    return raw.write_npy(tmp_path_factory.mktemp("npy") / "x", folder / TOKENIZER_FILE)


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Two utterances are damaged."""
    return raw.write_damaged(tmp_path_factory.mktemp("broken"), BROKEN)


def source(folder, threads: int = 2, strict: bool = False, **changes):
    tokenizer = SentencePieceTokenizer(folder / TOKENIZER_FILE)
    options = DataOptions(threads=threads, strict=strict)
    sizes = {"max_samples": MAX_SAMPLES, "max_tokens": MAX_TOKENS} | changes
    examples = sizes.pop("examples", raw.EXAMPLES)
    return LibriSpeech(folder, examples, tokenizer, options, **sizes)


def batches(folder, count: int, seed: int = 0, position: int = 0, **options):
    endless = source(folder, **options).batches("train", BATCH, seed, position)
    return list(itertools.islice(endless, count))


def assert_equal(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def utterances(batch, tokenizer) -> list[tuple[list[int], str]]:
    """The samples and the text of every row."""
    (audio, num_samples), (tokens, num_tokens) = batch["inputs"], batch["targets"]
    rows = range(len(audio))
    texts = tokenizer.decode_all([tokens[i, : num_tokens[i]].tolist() for i in rows])
    return [(audio[i, : num_samples[i]].tolist(), texts[i]) for i in rows]


def test_a_training_batch_has_its_utterances_in_the_order_of_the_seed(folder):
    tokenizer = SentencePieceTokenizer(folder / TOKENIZER_FILE)
    for index, batch in enumerate(batches(folder, 10, seed=5)):
        (audio, _), (tokens, num_tokens) = batch["inputs"], batch["targets"]
        assert (audio.shape, audio.dtype) == ((BATCH, MAX_SAMPLES), np.int16)
        assert tokens.shape == (BATCH, MAX_TOKENS)
        for place, found in enumerate(utterances(batch, tokenizer)):
            epoch, rank = divmod(index * BATCH + place, TRAIN)
            name = raw.names_of("train")[permutation(TRAIN, 5, epoch)[rank]]
            assert found == (raw.samples(name).tolist(), raw.transcript(name))
            # The end is the last token, and there is no beginning.
            assert tokens[place, num_tokens[place] - 1] == 2
            assert 1 not in tokens[place, : num_tokens[place]]
            assert not audio[place, len(found[0]) :].any()
            assert not tokens[place, num_tokens[place] :].any()


@pytest.mark.parametrize(("threads", "position"), [(1, 0), (5, 0), (2, 3)])
def test_threads_and_position_change_no_batch(folder, threads, position):
    expected = batches(folder, 5, seed=9)[position:]
    found = batches(folder, 5 - position, 9, position, threads=threads)
    assert_equal(found, expected)


@pytest.mark.parametrize("split", EVAL_SPLITS)
def test_an_evaluation_has_every_utterance_once_and_padding_of_weight_0(folder, split):
    tokenizer = SentencePieceTokenizer(folder / TOKENIZER_FILE)
    found = list(source(folder).batches(split, BATCH, seed=3))
    rows = [row for batch in found for row in utterances(batch, tokenizer)]
    weights = np.concatenate([batch["weights"] for batch in found])
    count = raw.EXAMPLES[split]
    assert weights.tolist() == [1] * count + [0] * (len(weights) - count)
    names = raw.names_of("train" if split == "eval_train" else split)
    if split == "eval_train":
        names = [names[i] for i in permutation(TRAIN, 0, 0)[:count]]
    expected = [(raw.samples(name).tolist(), raw.transcript(name)) for name in names]
    assert rows[:count] == expected
    assert rows[count:] == [([], "")] * (len(weights) - count)


def test_algoperfs_folders_give_the_same_batches(folder, npy):
    for split in ("train", *EVAL_SPLITS):
        ours = itertools.islice(source(folder).batches(split, BATCH, 1), 3)
        theirs = itertools.islice(source(npy).batches(split, BATCH, 1), 3)
        assert_equal(list(theirs), list(ours))


def test_unpacked_batches_are_float32_with_paddings():
    packed = {
        "inputs": (np.array([[5, -7, 0], [1, 0, 0]], np.int16), np.array([2, 1])),
        "targets": (np.array([[4, 2], [0, 0]], np.int32), np.array([2, 0])),
        "weights": np.array([1, 0], np.float32),
    }
    batch = unpacked(packed)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(batch))
    assert jax.tree.map(lambda leaf: leaf.tolist(), batch) == {
        "inputs": ([[5, -7, 0], [1, 0, 0]], [[0, 0, 1], [0, 1, 1]]),
        "targets": ([[4, 2], [0, 0]], [[0, 0], [1, 1]]),
        "weights": [1, 0],
    }


def test_random_batches_are_like_those_of_files(folder):
    drawn = random_speech(raw.VOCAB_SIZE, MAX_SAMPLES, MAX_TOKENS)
    for split in ("train", "validation"):
        kinds = [
            jax.tree.map(lambda x: (x.shape, x.dtype), next(each))
            for each in (
                drawn.batches(split, BATCH, 0),
                source(folder).batches(split, BATCH, 0),
            )
        ]
        assert kinds[0] == kinds[1]


# --- damage and what does not fit ---------------------------------------------------


def test_damaged_audio_is_named_once_and_left_out_or_silent(broken, caplog):
    data = source(broken)
    spoken = [n for n in raw.names_of("train") if n != BROKEN[0]]
    epoch = list(itertools.islice(data.batches("train", BATCH, 0), TRAIN // BATCH))
    lengths = np.concatenate([batch["inputs"][1] for batch in epoch])
    tokens = np.concatenate([batch["targets"][1] for batch in epoch])
    assert sorted(lengths) == sorted([0, *(len(raw.samples(n)) for n in spoken)])
    assert tokens[lengths == 0].tolist() == [0]
    (batch,) = data.batches("validation", 5, 0)
    (audio, num_samples), (_, num_tokens) = batch["inputs"], batch["targets"]
    assert num_samples[1] == MAX_SAMPLES
    assert not audio[1].any()
    assert num_tokens[1] > 1
    assert batch["weights"].tolist() == [1] * 5
    texts = [record.getMessage() for record in caplog.records]
    assert [text.split(" ")[0] for text in texts] == list(BROKEN)
    assert "is damaged audio: " in texts[0]
    assert texts[1].endswith(
        "(damaged utterance 2, left out of training, silence in an evaluation)"
    )


def test_under_strict_damaged_audio_ends_the_run(broken):
    data = source(broken, strict=True)
    with pytest.raises(CorruptAudio, match=rf"^{BROKEN[1]} is damaged audio"):
        list(data.batches("validation", 5, 0))


def test_damaged_npy_files_are_found(tmp_path, folder, caplog):
    copy = raw.write_npy(tmp_path / "npy", folder / TOKENIZER_FILE)
    first, second = raw.names("test-clean")
    audio = copy / "test-clean" / f"{first}_audio.npy"
    audio.write_bytes(audio.read_bytes()[:-8])
    np.save(copy / "test-clean" / f"{second}_audio.npy", np.array([40_000]))
    list(source(copy).batches("test", 2, 0))
    texts = sorted(record.getMessage() for record in caplog.records)
    assert len(texts) == 2
    assert f"{second}_audio.npy is damaged audio: its samples go from 40000" in texts[1]
    (copy / "test-clean" / f"{first}_targets.npy").write_bytes(b"")
    with pytest.raises(UserError, match=f"{first}_targets.npy is damaged: "):
        list(source(copy).batches("test", 2, 0))
    (copy / "test-clean" / f"{first}_targets.npy").unlink()
    with pytest.raises(UserError, match=f"{first}_targets.npy is missing"):
        list(source(copy).batches("test", 2, 0))


def test_csv_files_have_to_be_there_with_ids(tmp_path, folder):
    copy = raw.write_npy(tmp_path / "npy", folder / TOKENIZER_FILE)
    (copy / "dev-other.csv").write_text("name\nx\n")
    with pytest.raises(UserError, match=r"dev-other.csv has the columns name; it ne"):
        source(copy).batches("validation", 2, 0)
    (copy / "dev-other.csv").write_text(",id\n0,x\n1\n")
    with pytest.raises(
        UserError, match=r"dev-other.csv has no `id` in line 3: it is d"
    ):
        source(copy).batches("validation", 2, 0)
    (copy / "dev-other.csv").write_bytes(b",id\n0,\xff\n")
    with pytest.raises(UserError, match=r"dev-other.csv is damaged: .* Copy it again"):
        source(copy).batches("validation", 2, 0)
    (copy / "dev-other.csv").unlink()
    with pytest.raises(UserError, match=r"dev-other.csv is missing: AlgoPerf's prep"):
        source(copy).batches("validation", 2, 0)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"max_samples": 9_000}, r"has 1\d,\d{3} samples, and may have 9,000"),
        ({"max_tokens": 5}, r"has \d\d tokens, and may have 5: longer ones are"),
    ],
)
def test_utterances_that_are_too_long_are_named(folder, changes, text):
    with pytest.raises(UserError, match=rf"^utterance \d+-\d+-\d+ {text}"):
        batches(folder, 8, **changes)


def test_tokens_of_another_tokenizer_are_refused(tmp_path, folder):
    copy = raw.write_npy(tmp_path / "npy", folder / TOKENIZER_FILE)
    name = raw.names("test-clean")[0]
    np.save(copy / "test-clean" / f"{name}_targets.npy", np.array([5, 900, 2]))
    with pytest.raises(UserError, match=f"{name} has the token 900, and .* 48 pieces"):
        list(source(copy).batches("test", 2, 0))


def test_another_number_of_utterances_is_refused(folder):
    data = source(folder, examples=dict(raw.EXAMPLES) | {"test": 2_472})
    with pytest.raises(UserError, match="has 2 utterances in test, and should have 2,"):
        data.batches("test", 2, 0)


# --- FLAC ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate_hz", "shape", "subtype", "kind"),
    [
        (8_000, (900,), "PCM_16", "8,000 Hz, 1 channel and 16 bits"),
        (16_000, (900, 2), "PCM_16", "16,000 Hz, 2 channels and 16 bits"),
        (16_000, (900,), "PCM_24", "16,000 Hz, 1 channel and 24 bits"),
    ],
)
def test_audio_of_another_kind_is_refused(rate_hz, shape, subtype, kind):
    data = raw.flac(np.zeros(shape, np.int16), rate_hz, subtype)
    with pytest.raises(UserError) as error:
        decode_flac(data, "1-2-3")
    assert str(error.value).startswith(f"1-2-3 has {kind}; LibriSpeech has 16,000 Hz")


def test_headers_are_those_that_were_written():
    assert read_header(raw.flac(np.zeros(901, np.int16)), "x") == (16_000, 1, 16, 901)
    stereo = raw.flac(np.zeros((5_000, 2), np.int16), 44_100, "PCM_24")
    assert read_header(stereo, "x") == (44_100, 2, 24, 5_000)


def test_a_header_that_leaves_the_number_of_samples_open_is_named():
    # RFC 9639, section 8.2: 0 where it was not known.
    data = bytearray(raw.flac(raw.samples("9-9-9")))
    data[21] &= 0xF0  # the highest 4 of 36 bits
    data[22:26] = bytes(4)
    assert read_header(bytes(data), "x").samples == 0
    with pytest.raises(CorruptAudio, match="does not say how many samples it has"):
        decode_flac(bytes(data), "x")


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.95])
def test_flac_that_is_cut_short_is_named(share):
    data = raw.flac(raw.samples("9-9-9"))
    with pytest.raises(CorruptAudio, match=r"x is damaged audio: .*; fetch it again"):
        decode_flac(data[: int(share * len(data))], "x")


def test_a_flipped_bit_in_flac_is_found():
    data = bytearray(raw.flac(raw.samples("9-9-9")))
    data[len(data) // 2] ^= 4
    with pytest.raises(CorruptAudio):
        decode_flac(bytes(data), "x")
