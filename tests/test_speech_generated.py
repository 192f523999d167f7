"""Generated speech: what it says, how it sounds, that it stays the same."""

from itertools import pairwise

import numpy as np
import pytest

from workloads.librispeech.frontend import SAMPLE_RATE_HZ
from workloads.librispeech.generated import (
    ADJECTIVES,
    GENERATED_SPEECH,
    NOUNS,
    VERBS,
    sentences,
)
from workloads.librispeech.voices import LETTERS, SOUNDS, Voice, draw_voices, speak
from workloads.raw_draws import RawDraws

EXAMPLES = {"train": 60, "eval_train": 10, "validation": 20, "test": 20}
LENGTH = GENERATED_SPEECH.max_samples


def draws(seed: int = 0) -> RawDraws:
    return RawDraws(np.random.Philox(key=(7, seed)))


def one_voice(pitch_hz: float = 100, tract: float = 1.0, noise: float = 0.0) -> Voice:
    values = (pitch_hz, tract, 1.0, 2_000.0, noise)
    return Voice(*(np.array([value], np.float32) for value in values))


def said(text: str, **voice) -> np.ndarray:
    samples, lengths = speak([text], one_voice(**voice), draws(), LENGTH)
    return samples[0, : lengths[0]].astype(float)


def spectrum(samples: np.ndarray) -> np.ndarray:
    """Mean power per 62.5 Hz, of windows of 256 samples."""
    windows = samples[: len(samples) // 256 * 256].reshape(-1, 256) * np.hanning(256)
    return np.mean(np.abs(np.fft.rfft(windows)) ** 2, axis=0)


def power_between(power: np.ndarray, low_hz: float, high_hz: float) -> float:
    hertz = np.arange(len(power)) * SAMPLE_RATE_HZ / 256
    return float(power[(hertz >= low_hz) & (hertz < high_hz)].sum())


def test_every_word_can_be_spelled_and_said_in_time():
    words = {*ADJECTIVES, *NOUNS, *VERBS}
    assert len(words) == 51
    assert set(LETTERS) == set(SOUNDS)
    assert set("".join(words)) <= set(LETTERS)
    # A letter twice in a row would sound like one.
    assert not [w for w in words if any(a == b for a, b in pairwise(w))]
    slow = one_voice()._replace(slowness=np.array([1.2], np.float32))
    longest = max(NOUNS, key=len), max(VERBS, key=len), max(NOUNS, key=len)
    _, lengths = speak([" ".join(longest)], slow, draws(), 10 * LENGTH)
    assert lengths[0] < 1.1 * LENGTH


def test_a_batch_has_what_is_said_and_how_long_it_is():
    tokenizer = GENERATED_SPEECH.tokenizer
    source = GENERATED_SPEECH.source(EXAMPLES)
    batch = next(source.batches("validation", 20, 0))
    (audio, num_samples), (tokens, num_tokens) = batch["inputs"], batch["targets"]
    assert (audio.dtype, audio.shape) == (np.int16, (20, LENGTH))
    words = {*ADJECTIVES, *NOUNS, *VERBS}
    for i in range(20):
        (text,) = tokenizer.decode_all([tokens[i, : num_tokens[i]].tolist()])
        assert 2 <= len(text.split()) <= 3
        assert set(text.split()) <= words
        assert tokens[i, num_tokens[i] - 1] == 2
        assert audio[i, : num_samples[i]].std() > 100
        assert not audio[i, num_samples[i] :].any()
        # Four audio frames of 160 samples make one of the model's: all tokens fit.
        assert num_samples[i] / 640 > num_tokens[i] + 1


def test_splits_and_runs_have_their_own_and_the_same_speech():
    found = [
        next(GENERATED_SPEECH.source(EXAMPLES).batches(split, 20, 0))["inputs"][0]
        for split in ("validation", "test", "validation")
    ]
    assert not np.array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_sentences_are_drawn_evenly():
    texts = sentences(draws(), 3_000)
    lengths = [len(text.split()) for text in texts]
    assert 0.28 < lengths.count(2) / 3_000 < 0.39
    verbs = [text.split()[1] for text in texts if len(text.split()) == 2]
    counts = [verbs.count(verb) for verb in VERBS]
    assert min(counts) > 0.5 * len(verbs) / len(VERBS)


@pytest.mark.parametrize(
    ("letter", "formants"), [("a", (730, 1090)), ("i", (270, 2290)), ("u", (300, 870))]
)
def test_vowels_have_their_formants(letter, formants):
    power = spectrum(said(letter, pitch_hz=80))
    for hertz in formants:
        near = power_between(power, hertz - 130, hertz + 130)
        assert near > 0.06 * power.sum(), (letter, hertz)
    assert power_between(power, 4_000, 8_000) < 0.06 * power.sum()


def test_fricatives_are_high_and_a_shorter_tract_is_higher():
    hiss = spectrum(said("s"))
    assert power_between(hiss, 4_000, 7_500) > 0.8 * hiss.sum()
    hertz = np.arange(129) * SAMPLE_RATE_HZ / 256
    centres = [
        float(np.sum(power * hertz) / power.sum())
        for power in (spectrum(said("a", tract=tract)) for tract in (1.0, 1.2))
    ]
    assert centres[1] / centres[0] == pytest.approx(1.2, rel=0.1)


def test_the_voice_has_its_pitch():
    samples = said("aaaa", pitch_hz=125)
    part = samples[2_000:6_000]
    lags = np.arange(80, 200)
    correlation = [float(np.dot(part[:-lag], part[lag:])) for lag in lags]
    assert lags[int(np.argmax(correlation))] == pytest.approx(128, rel=0.15)


def test_loudness_and_noise_are_those_of_the_voice():
    samples = said("ana")
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(2_000, rel=0.01)
    noisy = said("ana", noise=0.5)
    assert (noisy - samples).std() == pytest.approx(1_000, rel=0.05)


def test_voices_are_different_from_each_other():
    voices = draw_voices(draws(), 500)
    assert 70 < voices.pitch_hz.min() < 120 < 190 < voices.pitch_hz.max() < 290
    assert np.corrcoef(voices.pitch_hz, voices.tract)[0, 1] > 0.6
    for values in voices:
        assert values.std() / values.mean() > 0.05
