"""Generated speech: sentences of a small grammar, each spoken by a voice of its own.

What the mini workloads train on. Words are spelled as they sound, so that there is a
sequence of letters to align, and there are few of them, so that context helps.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from algoperf.data import ArraySource
from algoperf.facts import Split
from workloads.librispeech.frontend import SAMPLE_RATE_HZ
from workloads.librispeech.tokenizers import LetterTokenizer, tokens_of
from workloads.librispeech.voices import LETTERS, draw_voices, speak
from workloads.raw_draws import RawDraws

ADJECTIVES = [
    "bad",
    "dark",
    "dim",
    "fat",
    "kind",
    "late",
    "mad",
    "old",
    "pale",
    "rare",
    "red",
    "sad",
    "slim",
    "soft",
]
NOUNS = [
    "boat",
    "bone",
    "desk",
    "film",
    "fort",
    "idea",
    "lake",
    "lamp",
    "lion",
    "man",
    "mast",
    "mint",
    "nest",
    "note",
    "park",
    "pond",
    "rat",
    "rose",
    "sea",
    "soap",
    "star",
    "sun",
    "tale",
    "team",
    "tide",
    "tune",
]
VERBS = [
    "bit",
    "fed",
    "fits",
    "led",
    "lost",
    "met",
    "ran",
    "sat",
    "sent",
    "sold",
    "told",
]

_SEED = 2015  # of the generated speech
_STREAMS: Mapping[Split, int] = {"train": 0, "validation": 1, "test": 2}
_CHUNK = 50  # utterances spoken at once


class GeneratedSpeech(NamedTuple):
    """A data set of generated speech, its sizes and its tokenizer."""

    tokenizer: LetterTokenizer = LetterTokenizer(LETTERS)
    max_samples: int = 3 * SAMPLE_RATE_HZ // 2
    max_tokens: int = 16

    def source(self, examples: Mapping[Split, int]) -> ArraySource:
        """Packed batches, as those of `LibriSpeech`."""

        def load() -> Mapping[str, dict[str, np.ndarray]]:
            return {
                split: dict(_spoken(examples[split], (_SEED, stream), self))
                for split, stream in _STREAMS.items()
            }

        return ArraySource(load, examples["eval_train"], _batch)


GENERATED_SPEECH = GeneratedSpeech()


def sentences(draw: RawDraws, count: int) -> list[str]:
    """Sentences of two or three words; every word is about as likely as another."""
    patterns = ((NOUNS, VERBS), (ADJECTIVES, NOUNS, VERBS), (NOUNS, VERBS, NOUNS))
    picks = draw.choice(len(patterns), count)
    words = draw(0.0, 1.0, count, 3)
    return [
        " ".join(
            kind[min(int(place * len(kind)), len(kind) - 1)]
            for kind, place in zip(patterns[pick], places, strict=False)
        )
        for pick, places in zip(picks, words, strict=True)
    ]


def _batch(raw: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        "inputs": (raw["samples"], raw["num_samples"]),
        "targets": (raw["tokens"], raw["num_tokens"]),
    }


# Workloads share their speech: the variants have that of their base.
@functools.lru_cache(maxsize=3)
def _spoken(
    count: int, key: tuple[int, int], speech: GeneratedSpeech
) -> dict[str, np.ndarray]:
    draw = RawDraws(np.random.Philox(key=key))
    texts = sentences(draw, count)
    arrays = {
        "samples": np.zeros((count, speech.max_samples), np.int16),
        "num_samples": np.zeros(count, np.int32),
        "tokens": np.zeros((count, speech.max_tokens), np.int32),
        "num_tokens": np.zeros(count, np.int32),
    }
    for i, text in enumerate(texts):
        tokens = tokens_of(speech.tokenizer, text)
        arrays["tokens"][i, : len(tokens)] = tokens
        arrays["num_tokens"][i] = len(tokens)
    for start in range(0, count, _CHUNK):
        part = slice(start, min(start + _CHUNK, count))
        voices = draw_voices(draw, part.stop - start)
        arrays["samples"][part], arrays["num_samples"][part] = speak(
            texts[part], voices, draw, speech.max_samples
        )
    for array in arrays.values():
        array.flags.writeable = False
    return arrays
