"""Token streams and the sequences cut from them, from each kind of files."""

import itertools
import json

import numpy as np
import pytest
import tiny_gpt2

from algoperf.facts import UserError
from workloads.fineweb.addresses import address_stream, encode, load_addresses
from workloads.fineweb.data import TokenSequences
from workloads.fineweb.files import open_stream
from workloads.fineweb.token_stream import TokenStream

LENGTH = 4
EXAMPLES = {"train": 8, "eval_train": 3, "validation": 5, "test": 0}
TRAIN, VAL = np.arange(8 * 5 + 3), np.arange(100, 100 + 5 * 5)


def sequences(folder, examples=EXAMPLES, vocab_size=1_000) -> TokenSequences:
    def stream(split: str) -> TokenStream:
        return open_stream(folder, split)

    return TokenSequences(stream, examples, LENGTH, vocab_size)


@pytest.fixture
def flat(tmp_path):
    tiny_gpt2.write_flat(tmp_path, TRAIN, VAL)
    return tmp_path


def test_a_stream_is_its_pieces_end_to_end():
    arrays = [np.arange(10), np.arange(100, 120)]
    pieces = [(1, 5, 3), (0, 0, 0), (0, 2, 6), (1, 0, 1)]  # array, start, length
    which, starts, lengths = (
        np.asarray(column) for column in zip(*pieces, strict=True)
    )
    stream = TokenStream("s", arrays, which, starts, np.cumsum(lengths))
    whole = np.concatenate([arrays[a][s : s + n] for a, s, n in pieces])
    assert len(stream) == len(whole) == 10
    for start in range(10):
        for stop in range(start + 1, 11):
            out = np.empty(stop - start, np.int32)
            stream.read(start, out)
            np.testing.assert_array_equal(out, whole[start:stop])


def test_evaluation_sequences_are_the_first_in_order_with_targets_one_further(flat):
    first, last = sequences(flat).batches("validation", 3, seed=0)
    np.testing.assert_array_equal(first["inputs"][1], [105, 106, 107, 108])
    np.testing.assert_array_equal(first["targets"][1], [106, 107, 108, 109])
    assert first["inputs"].dtype == first["targets"].dtype == np.int32
    np.testing.assert_array_equal(last["inputs"][:2, 0], [115, 120])
    np.testing.assert_array_equal(
        last["weights"], [[1] * LENGTH, [1] * LENGTH, [0] * 4]
    )
    assert last["inputs"].shape == last["weights"].shape == (3, LENGTH)
    (head,) = sequences(flat).batches("eval_train", 4, seed=9)
    np.testing.assert_array_equal(head["inputs"][:3, 0], [0, 5, 10])


def test_there_is_no_test_split(flat):
    assert list(sequences(flat).batches("test", 4, seed=0)) == []


def test_training_has_every_sequence_once_an_epoch_and_drops_the_rest(flat):
    batches = sequences(flat).batches("train", 4, seed=3)
    starts = [next(batches)["inputs"][:, 0] for _ in range(4)]
    epochs = np.reshape(starts, (2, 8))
    for epoch in epochs:
        assert sorted(epoch) == list(range(0, 40, 5))
    assert not np.array_equal(*epochs)
    assert "weights" not in next(batches)
    again = next(sequences(flat).batches("train", 4, seed=3, position=2))
    np.testing.assert_array_equal(again["inputs"][:, 0], starts[2])


def test_folders_saved_by_hugging_face_are_the_same_stream(tmp_path, flat):
    saved = tmp_path / "saved"
    cuts = [0, 1, 4, 4, 20, 33, len(TRAIN)]
    documents = [TRAIN[a:b].tolist() for a, b in itertools.pairwise(cuts)]
    tiny_gpt2.write_arrow(saved / "train", documents)
    tiny_gpt2.write_arrow(saved / "val", [VAL.tolist()[:7], VAL.tolist()[7:]])
    for split in ("train", "eval_train", "validation"):
        ours = next(sequences(flat).batches(split, 4, seed=1))
        theirs = next(sequences(saved).batches(split, 4, seed=1))
        for name, array in ours.items():
            np.testing.assert_array_equal(theirs[name], array)


def test_too_few_tokens_are_refused(flat):
    more = EXAMPLES | {"validation": 6}
    with pytest.raises(
        UserError, match=r"val\.bin has 25 tokens, 5 sequences of 5; va"
    ):
        next(sequences(flat, more).batches("validation", 2, seed=0))
    more = EXAMPLES | {"train": 9}
    with pytest.raises(
        UserError, match=r"train needs 9\. Prepare it again from the who"
    ):
        next(sequences(flat, more).batches("train", 2, seed=0))


def test_a_training_set_a_few_sequences_short_is_taken(tmp_path):
    tiny_gpt2.write_flat(tmp_path, np.arange(5 * 199) % 7, VAL)
    batches = sequences(tmp_path, EXAMPLES | {"train": 200}).batches("train", 199, 0)
    for _ in range(2):
        next(batches)


def test_ids_beyond_the_vocabulary_are_named(flat):
    batches = sequences(flat, vocab_size=107).batches("validation", 5, seed=0)
    with pytest.raises(UserError, match="token 107 at place 7; ids must be 0 to 106"):
        next(batches)


@pytest.mark.parametrize(("content", "size"), [(b"abc", "3"), (b"", "0")])
def test_half_a_token_or_none_is_refused(flat, content, size):
    (flat / "val.bin").write_bytes(content)
    with pytest.raises(
        UserError, match=rf"val\.bin has {size} bytes; a file of uint16"
    ):
        open_stream(flat, "validation")


def break_state(folder, **changes):
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps(state | changes))


def test_folders_that_cannot_be_read_say_why(tmp_path):
    folder = tmp_path / "train"
    tiny_gpt2.write_arrow(folder, [[1, 2], [3]])
    break_state(folder, _indices_data_files=[{"filename": "indices.arrow"}])
    with pytest.raises(UserError, match=r"flatten_indices\(\)\.save_to_disk"):
        open_stream(tmp_path, "train")
    break_state(folder, _indices_data_files=None, _data_files="x")
    with pytest.raises(UserError, match=r"state\.json does not list its data files"):
        open_stream(tmp_path, "train")
    (folder / "state.json").write_text("{")
    with pytest.raises(UserError, match=r"state\.json cannot be read"):
        open_stream(tmp_path, "train")
    (folder / "dataset_spec.pb").touch()
    with pytest.raises(
        UserError, match=r"saved by tf\.data.*flat uint16 in train\.bin"
    ):
        open_stream(tmp_path, "train")


def test_arrow_files_that_cannot_be_read_say_why(tmp_path):
    import pyarrow as pa

    folder = tmp_path / "train"
    tiny_gpt2.write_arrow(folder, [[1, 2], [3]])
    path = folder / "data-00000-of-00002.arrow"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="cannot be read as an Arrow stream"):
        open_stream(tmp_path, "train")
    for name, values, message in (
        ("tokens", [[1]], "has the columns tokens; the tokens must be in `input_ids`"),
        ("input_ids", [1.5], "`input_ids` is double with 0 nulls; it must be lists"),
        ("input_ids", [[1], None], "list<item: int64> with 1 nulls"),
    ):
        table = pa.table({name: values})
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table)
        with pytest.raises(UserError, match=message):
            open_stream(tmp_path, "train")


def test_the_bundled_text_is_whole_and_comes_back_from_its_tokens():
    documents = load_addresses()
    assert len(documents) == 91
    assert documents[0].startswith("Fellow-Citizens of the Senate")
    import importlib.resources

    import sentencepiece

    model = importlib.resources.files("workloads.fineweb") / "addresses.model"
    tokenizer = sentencepiece.SentencePieceProcessor(model_proto=model.read_bytes())
    assert tokenizer.vocab_size() == 1_024
    some = documents[::30]
    for document, tokens in zip(some, encode(some), strict=True):
        assert tokens.dtype == np.uint16
        assert tokens[-1] == tokenizer.eos_id()
        assert tokenizer.decode(tokens[:-1].tolist()) == document


def test_bundled_splits_have_other_documents():
    whole = {split: address_stream(split) for split in ("train", "validation")}
    tokens = {}
    for split, stream in whole.items():
        tokens[split] = np.empty(len(stream), np.int32)
        stream.read(0, tokens[split])
    count = {split: int(np.sum(some == 2)) for split, some in tokens.items()}
    assert count == {"train": 81, "validation": 10}
    # No long passage of the one is in the other.
    pieces = {some.tobytes() for some in tokens["train"][: 64 * 9_000].reshape(-1, 64)}
    window = tokens["validation"][: 64 * 500].reshape(-1, 64)
    assert not pieces & {some.tobytes() for some in window}
