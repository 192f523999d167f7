"""Batches of speech: packed as 16-bit samples on the host, unpacked on the devices."""

from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from algoperf.data import Batches, Origin
from algoperf.data_options import DataOptions
from algoperf.facts import Split, UserError
from algoperf.random_data import Drawn, RandomSource
from algoperf.read_ahead import Damaged, Plan, decoded_batches
from algoperf.spec import Batch
from workloads.librispeech.files import Utterance, Utterances, open_utterances
from workloads.librispeech.flac import CorruptAudio
from workloads.librispeech.tokenizers import END, Tokenizer

MAX_SAMPLES = 320_000  # 20 s
MAX_TOKENS = 256


class LibriSpeech:
    """LibriSpeech's batches, decoded by threads on the host.

    `inputs` are samples int16 [batch, sample] and how many there are int32 [batch],
    `targets` tokens int32 [batch, token] and how many there are: a quarter of what
    `unpacked` makes of them. Damaged audio is named on the screen. In training its
    utterance is left out (neither frames nor tokens); in an evaluation it is silence
    with its tokens, which counts as not recognised. With `options.strict` it ends the
    run.
    """

    def __init__(
        self,
        folder: Path,
        examples: Mapping[Split, int],
        tokenizer: Tokenizer,
        options: DataOptions,
        max_samples: int = MAX_SAMPLES,
        max_tokens: int = MAX_TOKENS,
    ):
        self._folder = folder
        self._examples = examples
        self._tokenizer = tokenizer
        self._options = options
        self._max_samples = max_samples
        self._max_tokens = max_tokens
        self._opened: dict[Split, Utterances] = {}
        consequence = "left out of training, silence in an evaluation"
        self._damaged = Damaged("utterance", consequence, options.strict)

    def batches(
        self, split: Split, batch_size: int, seed: int, position: int = 0
    ) -> Batches:
        """Batches of a split; see `DataSource.batches`."""
        utterances = self._open("train" if split == "eval_train" else split)

        def plan(rows: np.ndarray, origin: Origin | None) -> Plan:
            return self._plan(utterances, rows, origin is not None)

        return decoded_batches(
            split,
            batch_size,
            seed,
            position,
            size=len(utterances),
            num_examples=self._examples[split],
            plan=plan,
            threads=self._options.threads,
        )

    def _plan(self, utterances: Utterances, rows: np.ndarray, train: bool) -> Plan:
        # Zeros, because what is behind the end of an utterance stays as it is.
        audio = np.zeros((len(rows), self._max_samples), np.int16)
        tokens = np.zeros((len(rows), self._max_tokens), np.int32)
        num_samples, num_tokens = np.zeros((2, len(rows)), np.int32)

        def fill(place: int) -> None:
            utterance = utterances[int(rows[place])]
            try:
                samples = utterance.samples()
            except CorruptAudio as error:
                self._damaged.note(utterance.name, error)
                if train:
                    return
                samples = np.zeros(self._max_samples, np.int16)
            self._check(utterance, len(samples))
            audio[place, : len(samples)] = samples
            tokens[place, : len(utterance.tokens)] = utterance.tokens
            num_samples[place] = len(samples)
            num_tokens[place] = len(utterance.tokens)

        batch = {"inputs": (audio, num_samples), "targets": (tokens, num_tokens)}
        return Plan(batch, len(rows), fill)

    def _check(self, utterance: Utterance, samples: int) -> None:
        """Refuses what a preparation leaves out, and tokens of another tokenizer."""
        for found, most, what in (
            (samples, self._max_samples, "samples"),
            (len(utterance.tokens), self._max_tokens, "tokens"),
        ):
            if found > most:
                raise UserError(
                    f"utterance {utterance.name} has {found:,} {what}, and may have "
                    f"{most:,}: longer ones are left out of LibriSpeech here. Prepare "
                    "the data set again."
                )
        vocab_size = self._tokenizer.vocab_size
        strange = [t for t in utterance.tokens if not 0 <= t < vocab_size]
        if strange:
            raise UserError(
                f"utterance {utterance.name} has the token {strange[0]}, "
                f"and the tokenizer has {vocab_size:,} pieces: they do not belong "
                "together. Prepare the data set again."
            )

    def _open(self, split: Split) -> Utterances:
        if split not in self._opened:
            utterances = open_utterances(self._folder, split, self._tokenizer)
            wanted = self._examples[split]
            if len(utterances) != wanted:
                raise UserError(
                    f"{self._folder} has {len(utterances):,} utterances in {split}, "
                    f"and should have {wanted:,}; prepare it again."
                )
            self._opened[split] = utterances
        return self._opened[split]


def unpacked(batch: Batch) -> Batch:
    """A packed batch as AlgoPerf's models get it, all float32.

    Returns:
      `inputs`: audio [batch, sample] with the values of 16-bit PCM, and its paddings;
      `targets`: tokens [batch, token] and theirs. Paddings are 1 behind the end.
    """
    return {
        **batch,
        "inputs": _with_paddings(*batch["inputs"]),
        "targets": _with_paddings(*batch["targets"]),
    }


def _with_paddings(
    values: jax.Array, lengths: jax.Array
) -> tuple[jax.Array, jax.Array]:
    positions = jnp.arange(values.shape[1])[None]
    paddings = (positions >= lengths[:, None]).astype(jnp.float32)
    return values.astype(jnp.float32), paddings


def random_speech(
    vocab_size: int, max_samples: int = MAX_SAMPLES, max_tokens: int = MAX_TOKENS
) -> RandomSource:
    """Packed batches of noise, half as long as they may be or longer."""
    loudest = 3_000
    audio = Drawn((max_samples,), np.int16, loudest, -loudest)
    num_samples = Drawn((), np.int32, max_samples + 1, max_samples // 2)
    tokens = Drawn((max_tokens,), np.int32, vocab_size, END + 1)
    # As many as are spoken in that time: all of them would not fit into the frames.
    num_tokens = Drawn((), np.int32, max_tokens // 4, 1)
    return RandomSource(
        {"inputs": (audio, num_samples), "targets": (tokens, num_tokens)}
    )
