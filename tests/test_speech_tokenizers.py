"""Tokenizers: SentencePiece's, and the letters of generated speech."""

import pytest
import speech_files as raw
from fakes import made_up_facts

from algoperf.data_options import DataOptions
from algoperf.facts import UserError
from workloads.librispeech.facts import TOKENIZER_FILE
from workloads.librispeech.tokenizers import (
    LetterTokenizer,
    SentencePieceTokenizer,
    tokens_of,
    train_sentencepiece,
)
from workloads.librispeech.workload import build_conformer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a tokenizer in it; tests only read it."""
    home = tmp_path_factory.mktemp("librispeech")
    texts = [raw.transcript(f"1-2-{i}") for i in range(40)]
    (home / TOKENIZER_FILE).write_bytes(train_sentencepiece(texts, raw.VOCAB_SIZE))
    return home


def test_sentencepiece_is_trained_the_same_and_read_by_the_library():
    from sentencepiece import SentencePieceProcessor

    texts = [raw.transcript(f"1-2-{i}") for i in range(40)]
    model = train_sentencepiece(texts, raw.VOCAB_SIZE)
    assert model == train_sentencepiece(texts, raw.VOCAB_SIZE)
    library = SentencePieceProcessor(model_proto=model)
    assert library.get_piece_size() == raw.VOCAB_SIZE
    assert [library.id_to_piece(i) for i in range(3)] == ["<unk>", "<s>", "</s>"]
    # Every character of the texts has a piece: nothing is unknown.
    assert all(0 not in library.encode(text) for text in texts)


def test_texts_that_are_too_few_for_the_pieces_are_an_error():
    with pytest.raises(UserError, match="no tokenizer of 1,024 pieces can be trained"):
        train_sentencepiece(["A B", "C"])


def test_an_empty_transcript_is_the_end_alone(folder):
    assert tokens_of(SentencePieceTokenizer(folder / TOKENIZER_FILE), "") == [2]


def test_a_tokenizer_has_to_be_there_and_whole(tmp_path, folder):
    path = tmp_path / TOKENIZER_FILE
    with pytest.raises(
        UserError, match=r"spm_model.vocab is missing; without it there"
    ):
        SentencePieceTokenizer(path)
    path.write_bytes(b"\x0a\x05no model")
    with pytest.raises(UserError, match="is no SentencePiece model"):
        SentencePieceTokenizer(path)


def test_a_model_of_another_vocabulary_is_refused(folder):
    facts = made_up_facts(loss="ctc_loss", scale="full", examples=raw.EXAMPLES)
    with pytest.raises(UserError, match=r"vocab has 48 pieces, .* vocab_size 1,024"):
        build_conformer(facts, folder, DataOptions())


def test_letters_at_the_start_of_words_are_pieces_of_their_own():
    tokenizer = LetterTokenizer("abc")
    pieces = tokenizer.encode("ab ca")
    assert pieces == [3, 7, 5, 6]
    assert tokenizer.decode_all([[*pieces, 2], [7, 3, 0, 2]]) == ["ab ca", "b a"]
    assert tokenizer.vocab_size == 9
