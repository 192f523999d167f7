"""Log-mel features: every stage against scipy or numbers by hand, in float64."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import plain_speech as speech
import pytest
import scipy.fft
import scipy.signal

from algoperf.facts import UserError
from workloads.librispeech import frontend
from workloads.librispeech.mel_constants import MEAN, STD

RANDOM = np.random.default_rng(5)


def test_features_are_those_of_plain_numpy():
    audio, paddings = speech.audio_batch((6321, 4000, 0), samples=6321)
    features, frame_paddings = jax.jit(frontend.log_mel)(audio, paddings)
    assert features.shape == (3, 38, 80)
    assert features.dtype == jnp.float32
    for i, utterance in enumerate(np.where(paddings == 1, 0.0, audio)):
        expected = speech.log_mel(utterance, MEAN, STD)
        np.testing.assert_allclose(features[i], expected, atol=2e-4)
    np.testing.assert_array_equal(frame_paddings, speech.frame_paddings(paddings))


def test_full_utterances_have_1998_frames_and_the_shortest_one():
    assert frontend.num_frames(320_000) == 1998
    assert frontend.num_frames(401) == 1
    assert [frontend.num_frames(n) for n in (560, 561, 720, 721)] == [1, 2, 2, 3]
    ones = jnp.ones((2, 401))
    features, paddings = frontend.log_mel(ones, 0 * ones)
    assert features.shape == (2, 1, 80)
    assert paddings.shape == (2, 1)


def test_audio_shorter_than_a_frame_is_an_error():
    message = (
        "Audio of 400 samples is too short for log-mel features: one frame has 401 "
        "samples. Pad the batch to that length at least."
    )
    with pytest.raises(UserError, match=message):
        frontend.log_mel(jnp.zeros((1, 400)), jnp.zeros((1, 400)))


def test_preemphasis_by_hand():
    audio = np.array([[1.0, 2.0, -3.0, 0.5]])
    by_hand = [[1.0, 2 - 0.97, -3 - 1.94, 0.5 + 2.91]]
    np.testing.assert_allclose(frontend.preemphasized(audio), by_hand, rtol=1e-6)


@pytest.mark.parametrize("samples", [401, 560, 561, 1000])
def test_windows_are_periodic_hanns_every_160_samples(samples):
    audio = RANDOM.normal(size=(2, samples)).astype(np.float32)
    hann = scipy.signal.get_window("hann", 400)  # periodic, unless told otherwise
    starts = range(0, samples - 400, 160)
    expected = np.stack([audio[:, s : s + 400] * hann for s in starts], axis=1)
    np.testing.assert_allclose(frontend.windows(audio), expected, atol=1e-6)


def test_the_window_is_exactly_0_where_preemphasis_would_differ():
    # HTK multiplies the first sample of a frame by 0.03 instead.
    assert np.all(frontend.windows(jnp.ones((1, 2000)))[..., 0] == 0.0)


def test_power_spectrum_is_scipys_of_512_samples():
    frames = RANDOM.normal(size=(3, 400)).astype(np.float32)
    expected = np.abs(scipy.fft.rfft(frames.astype(np.float64), n=512)) ** 2
    power = frontend.power_spectrum(frames)
    assert power.shape == (3, 257)
    np.testing.assert_allclose(power, expected, rtol=1e-4, atol=1e-3)


def test_mel_filters_are_triangles_in_mel():
    filters = frontend.mel_filters()
    np.testing.assert_allclose(filters, speech.mel_filters(), atol=1e-6)
    assert np.all(filters[0] == 0.0)
    # Between the first and the last peak, neighbouring triangles add up to 1.
    low, high = speech.mel(125), speech.mel(7600)
    peaks = np.linspace(low, high, 82)[[1, -2]]
    mels = [speech.mel(k * 31.25) for k in range(257)]
    between = [peaks[0] <= m <= peaks[1] for m in mels]
    np.testing.assert_allclose(filters[between].sum(axis=1), 1.0, atol=1e-6)
    outside = [m <= low or m >= high for m in mels]
    assert np.all(filters[outside] == 0.0)


def test_energies_are_at_least_a_hundred_thousandth():
    energies = np.full((1, 80), 1e-9, np.float32)
    expected = (math.log(1e-5) - np.array(MEAN)) / np.array(STD)
    np.testing.assert_allclose(
        frontend.normalized_log(energies)[0], expected, rtol=1e-5
    )


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 4000.0])
def test_a_tone_is_loudest_in_its_mel_bin(hertz):
    audio = 8000 * np.sin(2 * np.pi * hertz * np.arange(1600) / 16_000)
    audio = audio.astype(np.float32)[None]
    features, _ = frontend.log_mel(audio, 0 * audio)
    loudness = features * np.array(STD)[None, None] + np.array(MEAN)[None, None]
    corners = np.linspace(speech.mel(125), speech.mel(7600), 82)
    nearest = np.argmin(np.abs(corners[1:-1] - speech.mel(hertz)))
    np.testing.assert_allclose(np.argmax(loudness[0], axis=-1), nearest, atol=1)


def test_constants_are_80_each_and_appear_as_published():
    assert len(MEAN) == len(STD) == frontend.MEL_BINS == 80
    assert (MEAN[0], MEAN[-1]) == (-7.6047816276550293, -6.94186544418335)
    assert (STD[0], STD[-1]) == (3.4353282451629639, 3.4299170970916748)
    # Sums by awk, of the published lists.
    assert math.isclose(sum(MEAN), -520.669502, abs_tol=1e-5)
    assert math.isclose(sum(STD), 286.177606, abs_tol=1e-5)


def test_a_frame_is_padding_if_all_its_401_samples_are():
    # Frame 1 is samples 160 to 560: with 160 valid samples it has none, with 161 one.
    assert frontend.frame_paddings(speech.paddings_of([160, 161], 721)).tolist() == [
        [0, 1, 1],
        [0, 0, 1],
    ]
    # The 401st sample counts, though no window sees it.
    paddings = np.ones((1, 401), np.float32)
    paddings[0, 400] = 0
    assert frontend.frame_paddings(paddings).tolist() == [[0]]


def test_what_stands_in_padding_does_not_matter():
    audio, paddings = speech.audio_batch((1500, 700), samples=2000)
    features, _ = frontend.log_mel(audio, paddings)
    audio[paddings == 1] = np.nan
    np.testing.assert_array_equal(frontend.log_mel(audio, paddings)[0], features)
