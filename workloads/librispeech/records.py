"""Utterances as they are published, checked and written as shards of ArrayRecord."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from algoperf.facts import UserError
from workloads.librispeech.data import MAX_SAMPLES, MAX_TOKENS
from workloads.librispeech.facts import TOKENIZER_FILE
from workloads.librispeech.flac import check_header, decode_flac, read_header
from workloads.librispeech.raw_speech import RawUtterance
from workloads.librispeech.tokenizers import Tokenizer, tokens_of
from workloads.tfds_layout import example_type, write_records

MAX_CHARACTERS = 256


def write_utterances(
    path: Path, utterances: Iterable[RawUtterance], tokenizer: Tokenizer
) -> int:
    """Writes a shard of those that are short enough; returns how many there are.

    Raises:
      UserError: audio is damaged or of another kind, or a transcript is of too many
        pieces.
    """
    return write_records(path, _records(utterances, tokenizer))


def _records(
    utterances: Iterable[RawUtterance], tokenizer: Tokenizer
) -> Iterator[bytes]:
    """Serialized tf.train.Example of the utterances that are short enough."""
    example_class = example_type()
    for utterance in utterances:
        header = read_header(utterance.audio, utterance.name)
        check_header(header, utterance.name)
        too_long = len(utterance.transcript) > MAX_CHARACTERS
        if too_long or header.samples > MAX_SAMPLES:
            continue
        # Here, so that damage is found in hours of preparing, not of training.
        decode_flac(utterance.audio, utterance.name)
        _check_tokens(tokenizer, utterance)
        example = example_class()
        for key, value in (
            ("id", utterance.name.encode()),
            ("audio", utterance.audio),
            ("transcript", utterance.transcript.encode()),
        ):
            example.features.feature[key].bytes_list.value.append(value)
        # In a fixed order of the features: the same shard every time.
        yield example.SerializeToString(deterministic=True)


def _check_tokens(tokenizer: Tokenizer, utterance: RawUtterance) -> None:
    found = len(tokens_of(tokenizer, utterance.transcript))
    if found > MAX_TOKENS:
        raise UserError(
            f"{utterance.name} is of {found:,} tokens with this {TOKENIZER_FILE}, and "
            f"may be of {MAX_TOKENS:,}: LibriSpeech's have fewer. Take the official "
            "transcripts, and AlgoPerf's tokenizer or one that is trained on them."
        )
