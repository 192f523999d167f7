"""FineWeb-Edu from text to token files: the tokenizer, the order, what is refused."""

import gzip
import json
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import tiktoken.load
import tiny_gpt2

from algoperf.facts import UserError
from algoperf.prepare.run import prepare
from algoperf.prepare.verify import verify
from workloads.catalog import CATALOG
from workloads.files import presence
from workloads.fineweb.files import open_stream
from workloads.fineweb.gpt2 import load_gpt2
from workloads.fineweb.prepare import LEAST_TOKENS, preparation

TEXTS = [
    [f"the cat {i} said «ça va»\n\n  then   the end <|endoftext|>" for i in range(7)],
    ["", "the", "漢字 and 🙂 and the rest", "  "],
]
END = tiny_gpt2.END


def quietly(raw, data, tokenizer, least_tokens=MappingProxyType({})):
    prepare(preparation(tokenizer, least_tokens), raw, data, lambda line: None)
    return data / "fineweb_edu_10B"


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


@pytest.fixture
def tokenizer(raw):
    return tiny_gpt2.write_tokenizer(raw)


def write_parquet(folder, texts=TEXTS, column="text", kind=None):
    for i, some in enumerate(texts):
        table = pa.table({"id": [str(n) for n in range(len(some))], column: some})
        pa.parquet.write_table(table, folder / f"00{i}_00000.parquet")


def whole(folder, split) -> np.ndarray:
    stream = open_stream(folder, split)
    tokens = np.empty(len(stream), np.int32)
    stream.read(0, tokens)
    return tokens


def by_hand(raw) -> list[list[int]]:
    """Documents in AlgoPerf's order, tokenised as tiktoken reads the files."""
    ranks = tiktoken.load.data_gym_to_mergeable_bpe_ranks(
        str(raw / "vocab.bpe"), str(raw / "encoder.json")
    )
    encoding = tiktoken.Encoding(
        "tiny",
        # As tiktoken writes GPT-2's pattern.
        pat_str=(
            r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$"
            r"|\s+(?!\S)|\s"
        ),
        mergeable_ranks=ranks,
        special_tokens={},
    )
    texts = [text for some in TEXTS for text in some if text]
    order = np.random.default_rng(0).permutation(len(texts))
    return [[*encoding.encode(texts[i], disallowed_special=()), END] for i in order]


def flat(documents) -> list[int]:
    return [token for document in documents for token in document]


def test_the_tokenizer_is_gpt2s(raw, tokenizer):
    encoding = load_gpt2(raw / "vocab.bpe", raw / "encoder.json", tiny_gpt2.VOCAB_SIZE)
    # "!" is the first printable character, and a space the 33rd of the others.
    assert encoding.encode_ordinary("!the the \n") == [0, 257, 258, 220, 198]
    assert encoding.decode(encoding.encode_ordinary("ça 🙂")) == "ça 🙂"
    assert encoding.encode_single_token("<|endoftext|>") == END


def test_parquet_becomes_algoperfs_documents_in_its_order(raw, tokenizer, tmp_path):
    write_parquet(raw)
    folder = quietly(raw, tmp_path / "data", tokenizer)
    documents = by_hand(raw)
    assert len(documents) == 10
    np.testing.assert_array_equal(whole(folder, "train"), flat(documents[:9]))
    np.testing.assert_array_equal(whole(folder, "validation"), flat(documents[9:]))
    index = json.loads((folder / "index.json").read_text())
    assert index["splits"]["train"] == {
        "documents": 9,
        "tokens": len(flat(documents[:9])),
    }
    files = sorted(path.name for path in (folder / "tokens").iterdir())
    assert files == ["000_00000.bin", "001_00000.bin"]
    assert not verify(preparation(tokenizer, {}), tmp_path / "data", lambda line: None)


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
def test_json_lines_become_the_same(raw, tokenizer, tmp_path, suffix):
    for i, some in enumerate(TEXTS):
        lines = "\n".join(json.dumps({"text": text, "n": 1}) for text in some) + "\n\n"
        content = lines.encode()
        if suffix.endswith("gz"):
            content = gzip.compress(content)
        (raw / f"part{i}.{suffix}").write_bytes(content)
    folder = quietly(raw, tmp_path / "data", tokenizer)
    np.testing.assert_array_equal(whole(folder, "train"), flat(by_hand(raw)[:9]))


def test_the_tokenizers_files_may_have_hugging_faces_names(raw, tokenizer, tmp_path):
    write_parquet(raw)
    documents = by_hand(raw)
    (raw / "a model").mkdir()
    (raw / "vocab.bpe").rename(raw / "merges.txt")
    (raw / "encoder.json").rename(raw / "a model/vocab.json")
    (raw / "vocab.json").write_text("{}")  # of something else
    (raw / "._000_00000.parquet").write_bytes(b"of macOS")
    folder = quietly(raw, tmp_path / "data", tokenizer)
    assert [*whole(folder, "train"), *whole(folder, "validation")] == flat(documents)


def test_a_run_that_was_stopped_goes_on(raw, tokenizer, tmp_path, monkeypatch):
    write_parquet(raw)
    (raw / "001_00000.parquet").rename(raw / "away")
    (raw / "001_00000.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(
        UserError, match=r"001_00000\.parquet cannot be read as parquet"
    ):
        quietly(raw, tmp_path / "data", tokenizer)
    first = tmp_path / "data/fineweb_edu_10B/tokens/000_00000.bin"
    made = first.stat().st_mtime_ns
    (raw / "away").rename(raw / "001_00000.parquet")
    folder = quietly(raw, tmp_path / "data", tokenizer)
    assert first.stat().st_mtime_ns == made
    np.testing.assert_array_equal(whole(folder, "train"), flat(by_hand(raw)[:9]))


def test_flat_token_files_are_adopted_where_they_are(tmp_path):
    folder = tmp_path / "fineweb_edu_10B"
    tiny_gpt2.write_flat(folder, np.arange(90), np.arange(10))
    before = (folder / "train.bin").stat().st_ino
    quietly(tmp_path, tmp_path, None)
    assert (folder / "train.bin").stat().st_ino == before
    np.testing.assert_array_equal(whole(folder, "validation"), np.arange(10))


def test_flat_token_files_with_other_tokens_are_refused(tmp_path):
    tiny_gpt2.write_flat(tmp_path, np.asarray([5, 50_256, 50_257]), np.arange(10))
    with pytest.raises(
        UserError, match="token 50257 at place 2; GPT-2 has 0 to 50,256"
    ):
        quietly(tmp_path, tmp_path / "data", None)


def test_a_missing_tokenizer_is_named_before_anything_is_made(raw, tmp_path):
    write_parquet(raw)
    wanted = r"vocab\.bpe or merges\.txt  MISSING \(456\.3 kB\), from https"
    with pytest.raises(UserError, match=wanted):
        quietly(raw, tmp_path / "data", None)
    assert not (tmp_path / "data/fineweb_edu_10B/tokens").exists()


def test_tokenizers_that_do_not_fit_are_refused(raw, tokenizer):
    vocab, encoder = raw / "vocab.bpe", raw / "encoder.json"
    with pytest.raises(UserError, match="have 260 tokens, and GPT-2 has 50,257"):
        load_gpt2(vocab, encoder)
    numbers = json.loads(encoder.read_text())
    numbers["a"], numbers["b"] = numbers["b"], numbers["a"]
    encoder.write_text(json.dumps(numbers))
    with pytest.raises(UserError, match="does not number the tokens that"):
        load_gpt2(vocab, encoder, tiny_gpt2.VOCAB_SIZE)
    vocab.write_text("#version\nno-merge-but-one-word\n")
    with pytest.raises(UserError, match="cannot be read as GPT-2's merges and numbers"):
        load_gpt2(vocab, encoder, tiny_gpt2.VOCAB_SIZE)


def test_parquet_without_text_is_refused(raw, tokenizer, tmp_path):
    write_parquet(raw, column="content")
    with pytest.raises(UserError, match="has the columns id: string, content: string;"):
        quietly(raw, tmp_path / "data", tokenizer)
    write_parquet(raw, [[1, 2]])
    with pytest.raises(UserError, match="text: int64; the documents must be strings"):
        quietly(raw, tmp_path / "data", tokenizer)


def test_documents_that_are_not_utf8_are_refused(raw, tokenizer, tmp_path):
    broken = pa.array([b"good", b"\xff\xfe"]).cast(pa.binary())
    text = pa.Array.from_buffers(pa.string(), 2, broken.buffers())
    pa.parquet.write_table(pa.table({"text": text}), raw / "a.parquet")
    with pytest.raises(UserError, match=r"a document that is not UTF-8 .*byte 0xff"):
        quietly(raw, tmp_path / "data", tokenizer)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "\xff"}', r"line 2: UnicodeDecodeError"),
        (b'{"text": "a"', r"line 2: JSONDecodeError"),
        (b'{"body": "a"}', r"line 2: KeyError\('text'\)\. Each line must be a JSON ob"),
        (b'{"text": ' + 9000 * b"[", r"line 2: (RecursionError|JSONDecodeError)"),
        (b'{"text": ["a"]}', r'line 2: `text` is \["a"\], not a string'),
    ],
)
def test_lines_that_are_no_documents_are_refused(
    raw, tokenizer, tmp_path, line, message
):
    (raw / "a.jsonl").write_bytes(b'{"text": "good"}\n' + line + b"\n")
    with pytest.raises(UserError, match=message):
        quietly(raw, tmp_path / "data", tokenizer)


def test_a_file_without_any_text_is_refused(raw, tokenizer, tmp_path):
    write_parquet(raw, [["", ""]])
    with pytest.raises(UserError, match="has no document with any text"):
        quietly(raw, tmp_path / "data", tokenizer)


def test_a_gzip_file_that_ends_early_is_refused(raw, tokenizer, tmp_path):
    content = gzip.compress(b'{"text": "good"}\n' * 1000)
    (raw / "a.jsonl.gz").write_bytes(content[:-20])
    with pytest.raises(UserError, match=r"a\.jsonl\.gz cannot be read: Compressed fi"):
        quietly(raw, tmp_path / "data", tokenizer)


def test_a_gzip_file_that_is_damaged_is_refused(raw, tokenizer, tmp_path):
    content = bytearray(gzip.compress(b'{"text": "good"}\n' * 1000))
    content[20:30] = b"\xff" * 10
    (raw / "a.jsonl.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.jsonl\.gz cannot be read: "):
        quietly(raw, tmp_path / "data", tokenizer)


def test_white_space_that_the_tokenizer_gives_up_on_is_named(raw, tokenizer, tmp_path):
    write_parquet(raw, [["good", 1_500_000 * " " + "x"]])
    with pytest.raises(UserError) as error:
        quietly(raw, tmp_path / "data", tokenizer)
    assert f"{raw}/000_00000.parquet has a document that cannot be tok" in str(
        error.value
    )
    assert "Shorten its white space, or take it out." in str(error.value)


def test_what_is_too_little_is_not_called_prepared(raw, tokenizer, tmp_path):
    write_parquet(raw, TEXTS[:1])
    all_of_train = len(flat(by_hand(raw)[:9]))
    enough = {"train": all_of_train, "val": 1}
    with pytest.raises(UserError) as error:
        quietly(raw, tmp_path / "data", tokenizer, enough)
    assert str(error.value).endswith(
        f" tokens in train, and needs {all_of_train}: raw files are missing. There are "
        "tokens/000_00000.bin. Put the others beside the raw files of these, and run "
        "this again."
    )
    assert presence(CATALOG["finewebedu_lm"], tmp_path / "data") == "partial"
    write_parquet(raw)
    folder = quietly(raw, tmp_path / "data", tokenizer, enough)
    np.testing.assert_array_equal(whole(folder, "train"), flat(by_hand(raw)[:9]))
    assert presence(CATALOG["finewebedu_lm"], tmp_path / "data") == "prepared"


def test_a_full_data_set_needs_what_a_run_reads():
    assert LEAST_TOKENS == {"train": 8_662_372 * 1_025, "val": 100_000 * 1_025}


@pytest.mark.parametrize("kind", ["<u2", "<u4", "llm.c"])
def test_flat_files_are_read_whatever_they_are_of(tmp_path, kind):
    tokens = np.random.default_rng(0).integers(0, 50_257, 1_000)
    for name in ("train.bin", "val.bin"):
        with (tmp_path / name).open("wb") as file:
            if kind == "llm.c":
                header = np.zeros(256, "<i4")
                header[:3] = 20_240_520, 1, len(tokens)
                header.tofile(file)
            tokens.astype("<u2" if kind == "llm.c" else kind).tofile(file)
    np.testing.assert_array_equal(whole(tmp_path, "train"), tokens)
    folder = quietly(tmp_path, tmp_path / "data", None)
    np.testing.assert_array_equal(whole(folder, "train"), tokens)


def test_a_token_file_that_is_gone_is_named(raw, tokenizer, tmp_path):
    write_parquet(raw)
    folder = quietly(raw, tmp_path / "data", tokenizer)
    (folder / "tokens/001_00000.bin").unlink()
    with pytest.raises(UserError) as error:
        open_stream(folder, "train")
    assert str(error.value) == (
        f"{folder} does not have tokens/001_00000.bin, which its index.json lists. "
        "Copy what is missing, or prepare it again."
    )
