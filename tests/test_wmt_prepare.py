"""wmt from text files and from TFDS to batches, and what is wrong with bad files."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_wmt import (
    FACTS,
    RAW,
    SIZES,
    lines,
    prepared,
    record,
    write_text,
    write_tfds,
)

from algoperf.data_options import DataOptions
from algoperf.facts import UserError
from workloads.catalog import CATALOG
from workloads.files import require
from workloads.tfds_layout import write_records
from workloads.wmt.parallel_text import text_pieces
from workloads.wmt.prepare import trained_model
from workloads.wmt.tokenizers import END, MODEL_NAME, SentencePiece
from workloads.wmt.workload import build


@pytest.fixture(scope="module")
def model() -> bytes:
    return trained_model(iter(lines()["train"]), SIZES.vocab_size)


def assert_has_the_texts(folder, texts):
    """Every pair is in its split, in order, with an end; text comes back as it was."""
    workload = build(FACTS, folder, DataOptions())
    tokenizer = SentencePiece(folder / MODEL_NAME, SIZES.vocab_size)
    for split in ("validation", "test"):
        batches = list(workload.data.batches(split, 8, 0))
        rows = [
            [row[row > 0].tolist() for batch in batches for row in batch[side]]
            for side in ("inputs", "targets")
        ]
        for place, pair in enumerate(texts[split]):
            for side, sentence in enumerate(pair):
                assert rows[side][place][-1] == END
                assert tokenizer.decode(rows[side][place][:-1]) == sentence
    batch = next(workload.data.batches("train", 4, 0))
    assert batch["inputs"].shape == (4, 256)
    assert batch["targets_segmentation"].max() > 5
    total = sum(
        len(part.lengths()) for part in workload.data._sentences("train")._parts
    )
    assert total == SIZES.train


@pytest.mark.parametrize("kind", ["text", "array_record", "tfrecord"])
def test_sentences_come_through(tmp_path, kind, model):
    texts = lines()
    if kind == "text":
        write_text(tmp_path / RAW / "deep", texts)
    else:
        write_tfds(tmp_path / RAW, texts, kind)
    (tmp_path / RAW / MODEL_NAME).write_bytes(model)
    folder = prepared(tmp_path)
    assert (folder / MODEL_NAME).read_bytes() == model
    assert require(FACTS, tmp_path) == folder
    assert_has_the_texts(folder, texts)
    # Three pieces of 128 lines, or as many as shards.
    names = sorted(path.name for path in folder.glob("tokens/train-*"))
    count = 3 if kind == "text" else 2
    assert names == [f"train-{i:05d}-of-{count:05d}.pairs" for i in range(count)]


def test_algoperfs_folder_is_prepared_in_its_place(tmp_path, model):
    write_tfds(tmp_path / "wmt", lines(), "tfrecord")
    (tmp_path / "wmt" / MODEL_NAME).write_bytes(model)
    (tmp_path / RAW).mkdir()
    assert_has_the_texts(prepared(tmp_path), lines())


def test_a_tokenizer_is_trained_where_there_is_none(tmp_path, model):
    write_text(tmp_path / RAW, lines())
    folder = prepared(tmp_path)
    assert (folder / MODEL_NAME).read_bytes() == model, "from the same text in order"
    assert_has_the_texts(folder, lines())


def test_all_characters_have_a_token(model, tmp_path):
    (tmp_path / "model").write_bytes(model)
    tokenizer = SentencePiece(tmp_path / "model", SIZES.vocab_size)
    assert all(
        0 not in row for row in tokenizer.encode([s for s, _ in lines()["train"]])
    )


# What is wrong with files.


def test_another_vocabulary_is_refused(tmp_path, model):
    write_text(tmp_path / RAW, lines())
    (tmp_path / RAW / MODEL_NAME).write_bytes(model)
    with pytest.raises(UserError, match=r"has 150 tokens, and wmt's model has 32,000"):
        prepared(tmp_path, replace(SIZES, vocab_size=32_000))


def test_a_missing_or_damaged_tokenizer_is_named(tmp_path, model):
    with pytest.raises(
        UserError, match=r"the tokenizer, is missing; `algoperf prepare"
    ):
        SentencePiece(tmp_path / MODEL_NAME, 10)
    (tmp_path / MODEL_NAME).write_bytes(model[:100])
    with pytest.raises(UserError, match=r"is not a SentencePiece model"):
        SentencePiece(tmp_path / MODEL_NAME, 10)


def test_too_little_text_for_a_tokenizer_is_named():
    with pytest.raises(
        UserError, match=r"no tokenizer of 32,000 pieces can be trained"
    ):
        trained_model(iter(lines()["train"]), 32_000)


def test_files_of_other_lengths_are_refused(tmp_path):
    write_text(tmp_path, lines())
    with open(tmp_path / "test.en", "ab") as file:
        file.write(b"one more\n")
    with pytest.raises(UserError, match=r"test.de has 9 lines and .*test.en has 10;"):
        text_pieces(tmp_path / "test.de", tmp_path / "test.en", 100)


@pytest.mark.parametrize("every", [1, 3, 4, 9, 100])
@pytest.mark.parametrize("last_ends", [True, False])
def test_pieces_have_all_lines_in_order(tmp_path, every, last_ends):
    write_text(tmp_path, lines())
    paths = tmp_path / "test.de", tmp_path / "test.en"
    if not last_ends:
        for path in paths:
            path.write_bytes(path.read_bytes()[:-1])
    pieces = text_pieces(*paths, every)
    assert len(pieces) == -(-9 // every)
    assert [pair for piece in pieces for pair in piece.read()] == lines()["test"]


def test_invalid_utf8_is_named_with_its_line(tmp_path):
    write_text(tmp_path, lines())
    content = (tmp_path / "test.en").read_bytes().split(b"\n")
    content[4] = b"caf\xe9 ."
    (tmp_path / "test.en").write_bytes(b"\n".join(content))
    paths = tmp_path / "test.de", tmp_path / "test.en"
    assert len(list(text_pieces(*paths, 5)[1].read())) == 4
    second = text_pieces(*paths, 4)[1]
    with pytest.raises(
        UserError, match=r"test.en, line 5, is not UTF-8: byte 0xe9 at 3"
    ):
        list(second.read())


def rewrite(tmp_path, change):
    """The first training shard with other records."""
    write_tfds(tmp_path / RAW, lines())
    path = next((tmp_path / RAW).rglob("*train*00000-of-00002"))
    records = [record(pair) for pair in lines()["train"][:150]]
    write_records(path, change(records))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda r: [*r[:3], record((b"\xff", b"x")), *r[4:]], r"record 3 is not UTF-8"),
        (
            lambda r: [*r[:3], record(("x", "y"), ("de", "fr")), *r[4:]],
            r"record 3 has no 'en'; it has: de, fr",
        ),
        (lambda r: r[:-1], r"has 149 records, and its dataset_info.json says 150"),
    ],
)
def test_bad_records_are_named(tmp_path, model, change, text):
    rewrite(tmp_path, change)
    (tmp_path / RAW / MODEL_NAME).write_bytes(model)
    with pytest.raises(UserError, match=text):
        prepared(tmp_path)


def test_another_count_is_refused(tmp_path, model):
    write_text(tmp_path / RAW, lines())
    (tmp_path / RAW / MODEL_NAME).write_bytes(model)
    with pytest.raises(
        UserError, match=r"has 300 examples in train, and should have 301"
    ):
        prepared(tmp_path, replace(SIZES, train=301))


def test_a_file_that_is_gone_is_noticed(tmp_path, model):
    write_text(tmp_path / RAW, lines())
    (tmp_path / RAW / MODEL_NAME).write_bytes(model)
    folder = prepared(tmp_path)
    next(folder.glob("tokens/train-00001*")).unlink()
    workload = build(FACTS, folder, DataOptions())
    with pytest.raises(UserError, match=r"has 172 pairs of sentences in train, and"):
        workload.batches("train", 4)


def test_another_tokenizer_than_the_files_is_refused(tmp_path, model):
    write_text(tmp_path / RAW, lines())
    folder = prepared(tmp_path)
    other = trained_model(iter(lines()["train"][:200]), SIZES.vocab_size)
    (folder / MODEL_NAME).write_bytes(other)
    workload = build(FACTS, folder, DataOptions())
    with pytest.raises(UserError, match=r"another tokenizer than the one beside it"):
        workload.batches("test", 4)


def test_tokens_fit_their_type():
    assert CATALOG["wmt"].model.get("vocab_size", 32_000) <= np.iinfo(np.uint16).max
