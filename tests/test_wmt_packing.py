"""Packing against a slow one that goes pair by pair, and the order of batches."""

import dataclasses

import numpy as np
import pytest
from small_wmt import sentences

from algoperf.facts import UserError
from workloads.wmt import tokens
from workloads.wmt.data import PackedEpochs, Sentences, Translations
from workloads.wmt.packing import BLOCK, packed, row_starts

LENGTH = 16


def pairs_of(count: int, seed: int = 0, longest: int = 12):
    sources = sentences(count, 50, seed, longest)
    targets = sentences(count, 50, seed + 1, longest)
    return list(zip(sources, targets, strict=True))


def stored(pairs) -> tokens.Pairs:
    return tokens.in_memory(sentence for pair in pairs for sentence in pair)


def slowly_packed(pairs, length):
    """Rows of pairs: a new one where a pair does not fit, and after every block."""
    rows = []
    for start in range(0, len(pairs), BLOCK):
        row, used = [], (0, 0)
        for pair in pairs[start : start + BLOCK]:
            total = used[0] + len(pair[0]), used[1] + len(pair[1])
            if row and max(total) > length:
                rows.append(row)
                row, total = [], (len(pair[0]), len(pair[1]))
            row, used = [*row, pair], total
        rows.append(row)
    return rows


@pytest.mark.parametrize("count", [1, 255, 256, 257, 700])
def test_rows_begin_where_a_slow_packing_begins_them(count):
    pairs = pairs_of(count)
    lengths = stored(pairs).lengths()
    starts = row_starts(lengths, LENGTH)
    sizes = [len(row) for row in slowly_packed(pairs, LENGTH)]
    assert np.diff(starts).tolist() == sizes
    assert starts[-1] == count


def test_a_row_by_hand():
    one = np.array([5, 6, 2]), np.array([7, 2])
    two = np.array([8, 2]), np.array([9, 4, 3, 2])
    batch = packed([[one, two], [one]], 7)
    expected = {
        "inputs": [[5, 6, 2, 8, 2, 0, 0], [5, 6, 2, 0, 0, 0, 0]],
        "inputs_position": [[0, 1, 2, 0, 1, 0, 0], [0, 1, 2, 0, 0, 0, 0]],
        "inputs_segmentation": [[1, 1, 1, 2, 2, 0, 0], [1, 1, 1, 0, 0, 0, 0]],
        "targets": [[7, 2, 9, 4, 3, 2, 0], [7, 2, 0, 0, 0, 0, 0]],
        "targets_position": [[0, 1, 0, 1, 2, 3, 0], [0, 1, 0, 0, 0, 0, 0]],
        "targets_segmentation": [[1, 1, 2, 2, 2, 2, 0], [1, 1, 0, 0, 0, 0, 0]],
    }
    assert {name: leaf.tolist() for name, leaf in batch.items()} == expected
    assert all(leaf.dtype == np.int32 for leaf in batch.values())


def test_a_sentence_with_unknown_tokens_loses_as_many_at_its_end():
    # WORKLOADS facts 10.3: what is not 0 is counted, and the 0 itself stays.
    unknown = np.array([5, 0, 6, 7, 2]), np.array([4, 2])
    after = np.array([8, 2]), np.array([9, 2])
    batch = packed([[unknown, after]], 8)
    assert batch["inputs"].tolist() == [[5, 0, 6, 7, 8, 2, 0, 0]]
    assert batch["inputs_segmentation"].tolist() == [[1, 0, 1, 1, 2, 2, 0, 0]]
    assert batch["inputs_position"].tolist() == [[0, 1, 2, 3, 0, 1, 0, 0]]


def test_rows_are_filled_with_what_is_left_of_sentences(monkeypatch):
    pairs = [([5, 0, 0, 7, 2], [5, 6, 2]), ([5, 9, 2], [4, 2]), ([5, 9, 2], [4, 2])]
    parts = [stored(pairs[:1]), stored(pairs[1:])]
    for step in (tokens._STEP, 2):
        monkeypatch.setattr(tokens, "_STEP", step)
        left = [part.packed_lengths().tolist() for part in parts]
        assert left == [[[3, 3]], [[3, 2], [3, 2]]]
    found = Sentences(parts, 6)
    assert row_starts(found.packed_lengths, 6).tolist() == [0, 2, 3]
    # Those with more tokens than a row has are left out, unknown ones included.
    assert len(Sentences(parts, 4)) == 2


def rows_of(batch):
    """The sentences of a batch, as (source, target) tuples."""
    for row in range(len(batch["inputs"])):
        for number in range(1, batch["targets_segmentation"][row].max() + 1):
            yield tuple(
                tuple(batch[side][row][batch[f"{side}_segmentation"][row] == number])
                for side in ("inputs", "targets")
            )


def as_tuples(pairs):
    return sorted(tuple(tuple(side.tolist()) for side in pair) for pair in pairs)


def source_of(pairs, examples=None) -> Translations:
    examples = examples or {"eval_train": 5}
    half = len(pairs) // 2  # two files
    parts = [stored(pairs[:half]), stored(pairs[half:])]
    return Translations(lambda split: parts, examples, LENGTH)


def test_every_epoch_has_every_pair_once_in_another_order():
    pairs = pairs_of(600)
    epochs = PackedEpochs(Sentences([stored(pairs)], LENGTH), LENGTH, seed=3)
    first = epochs._end(0)
    second = epochs._end(1)
    whole = [list(epochs.rows(*span)) for span in ((0, first), (first, second))]
    for rows in whole:
        found = [pair for row in rows for pair in row]
        assert as_tuples(found) == as_tuples(pairs)
    assert whole[0][0][0][0].tolist() != whole[1][0][0][0].tolist()


def test_a_batch_is_the_same_from_any_position():
    source = source_of(pairs_of(300))
    straight = source.batches("train", 32, seed=7)
    batches = [next(straight) for _ in range(9)]  # into the second epoch and beyond
    assert sum(len(list(rows_of(batch))) for batch in batches) > 300
    for position in (8, 3):
        again = next(source_of(pairs_of(300)).batches("train", 32, 7, position))
        for name, leaf in batches[position].items():
            np.testing.assert_array_equal(again[name], leaf)


def test_epochs_are_joined_without_a_gap():
    pairs = pairs_of(40)
    epochs = PackedEpochs(Sentences([stored(pairs)], LENGTH), LENGTH, seed=0)
    end = epochs._end(2)
    one_by_one = [row for i in range(end) for row in epochs.rows(i, i + 1)]
    at_once = list(epochs.rows(0, end))
    assert len(at_once) == end
    for row, same in zip(at_once, one_by_one, strict=True):
        assert as_tuples(row) == as_tuples(same)


def test_training_weights_are_the_targets_tokens():
    batch = next(source_of(pairs_of(100)).batches("train", 8, 0))
    np.testing.assert_array_equal(batch["weights"], batch["targets"] > 0)


def test_evaluation_batches_have_a_pair_a_row_and_are_padded():
    pairs = pairs_of(10)
    batches = list(source_of(pairs).batches("validation", 4, 0))
    assert [len(batch["inputs"]) for batch in batches] == [4, 4, 4]
    rows = np.concatenate([batch["inputs"] for batch in batches])
    for row, (source, _) in zip(rows[:10], pairs, strict=True):
        assert row[: len(source)].tolist() == source.tolist()
        assert not np.any(row[len(source) :])
    weights = np.concatenate([batch["weights"] for batch in batches])
    expected = [len(target) for _, target in pairs] + [0, 0]
    assert weights.sum(axis=1).tolist() == expected
    assert "targets_position" not in batches[0]


def test_evaluated_training_pairs_are_the_same_in_every_run():
    source = source_of(pairs_of(30))
    first, again = (
        next(source.batches("eval_train", 4, seed))["inputs"] for seed in (0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert len(list(source.batches("eval_train", 4, 0))) == 2  # of 5 pairs


def test_pairs_that_do_not_fit_are_left_out():
    long = np.append(np.full(LENGTH, 5), 2), np.array([4, 2])
    just = np.append(np.full(LENGTH - 1, 6), 2), np.array([4, 2])
    kept = Sentences([stored([long, just]), stored([long[::-1]])], LENGTH)
    assert len(kept) == 1
    assert kept[0][0].tolist() == just[0].tolist()


def test_empty_sentences_are_an_end():
    batch = packed([[(np.array([2]), np.array([2])), (np.array([5, 2]),) * 2]], 6)
    assert batch["inputs"].tolist() == [[2, 5, 2, 0, 0, 0]]
    assert batch["inputs_segmentation"].tolist() == [[1, 2, 2, 0, 0, 0]]


def test_a_split_without_pairs_is_named():
    long = np.append(np.full(LENGTH, 5), 2)
    source = Translations(lambda split: [stored([(long, long)])], {}, LENGTH)
    with pytest.raises(
        UserError, match=r"validation split has no pair of sentences of 16"
    ):
        source.batches("validation", 4, 0)


# Files of pairs.

MODEL, OTHER = b"a tokenizer", b"another one"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "train-00000-of-00001.pairs"
    assert tokens.write(path, stored(pairs_of(20)), MODEL) == 20
    return path


def test_a_file_has_what_was_written(file):
    found = tokens.read(file, MODEL, 50)
    assert isinstance(found.tokens, np.memmap)
    for index, (source, target) in enumerate(pairs_of(20)):
        assert found.sentence(index, 0).tolist() == source.tolist()
        assert found.sentence(index, 1).tolist() == target.tolist()


def test_a_file_without_pairs_can_be_read(tmp_path):
    tokens.write(tmp_path / "x", tokens.in_memory([]), MODEL)
    assert len(tokens.read(tmp_path / "x", MODEL, 50)) == 0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda content: content[:-1], r"has 569 bytes of tokens, and its index says"),
        (
            lambda content: content + b"\0",
            r"has 571 bytes of tokens, and its index says",
        ),
        (lambda content: content[:100], r"ends within its index of 20 pairs"),
        (lambda content: content[:10], r"is not a file of token pairs"),
        (lambda content: b"x" + content[1:], r"is not a file of token pairs"),
        (
            lambda content: content[:-2] + b"\x32\0",
            r"has the token 50, and the vocabulary ends at 49",
        ),
        (
            lambda content: content[:32] + b"\xff\0" + content[34:],
            r"has an index that goes backwards",
        ),
    ],
)
def test_damaged_files_are_named(file, change, text):
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(UserError, match=f"pairs {text}.*algoperf prepare"):
        tokens.read(file, MODEL, 50)


def test_a_file_of_another_tokenizer_is_refused(file):
    with pytest.raises(UserError, match=r"made with another tokenizer"):
        tokens.read(file, OTHER, 50)


def test_pairs_are_read_only():
    with pytest.raises(dataclasses.FrozenInstanceError):
        stored(pairs_of(2)).tokens = None
