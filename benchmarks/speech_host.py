"""Speech on the host: word error rates of a validation set, and decoding FLAC.

Word error rates are both, AlgoPerf's and the usual one, from pieces on: detokenised by
SentencePiece, compared by rapidfuzz. The set has as many utterances and words as
LibriSpeech's.

  python benchmarks/speech_host.py
"""

import argparse
import io
import random
import string
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from speech import in_turns

from workloads.librispeech.flac import decode_flac
from workloads.librispeech.frontend import SAMPLE_RATE_HZ
from workloads.librispeech.tokenizers import (
    SentencePieceTokenizer,
    train_sentencepiece,
)
from workloads.librispeech.wer import detokenized, word_error_rates

UTTERANCES, WORDS = 5_348, 17
FRAMES = 500  # of 40 ms: what is decoded has so many places


def wer_work() -> Callable[[], Any]:
    """Both word error rates of LibriSpeech's validation set, from pieces on."""
    rng = random.Random(0)
    words = ["".join(rng.choices(string.ascii_uppercase, k=6)) for _ in range(5000)]
    texts = [" ".join(rng.choices(words, k=WORDS)) for _ in range(UTTERANCES)]
    with tempfile.NamedTemporaryFile() as file:
        file.write(train_sentencepiece(texts[:1000]))
        file.flush()
        tokenizer = SentencePieceTokenizer(Path(file.name))
    rows = [tokenizer.encode(text)[:FRAMES] for text in texts]
    pieces = np.zeros((UTTERANCES, FRAMES), np.int32)
    for place, row in enumerate(rows):
        pieces[place, : len(row)] = row
    wrong = np.where(pieces == pieces[0, 0], pieces[0, 1], pieces)
    lengths = np.array([len(row) for row in rows])

    def rates() -> Any:
        both = (detokenized(x, lengths, tokenizer.decode_all) for x in (pieces, wrong))
        return word_error_rates(*both)

    return rates


def decoded_per_second(threads: int, seconds: float = 12.0) -> float:
    """Utterances a second, from FLAC to samples."""
    # Imported here: an extra of the package has it.
    import soundfile

    rng = np.random.default_rng(3)
    noise = np.cumsum(rng.normal(size=int(seconds * SAMPLE_RATE_HZ)))
    stream = io.BytesIO()
    samples = np.clip(50 * noise, -30_000, 30_000).astype(np.int16)
    soundfile.write(stream, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    data, count = stream.getvalue(), 200
    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        list(pool.map(lambda _: decode_flac(data, "noise"), range(count)))
        return count / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    flags = parser.parse_args()
    (seconds,) = in_turns({"": wer_work()}, flags.rounds).values()
    print(f"word error rates of {UTTERANCES} utterances: {1e3 * seconds:.0f} ms")
    for threads in (1, 2):
        rate = max(decoded_per_second(threads) for _ in range(3))
        print(f"FLAC of 12 s, {threads} threads: {rate:.0f} utterances a second")


if __name__ == "__main__":
    main()
