"""The text of the mini workload: addresses of US presidents, and their tokens."""

import functools
import importlib.resources
import lzma
from collections.abc import Sequence

import numpy as np

from algoperf.data import permutation
from workloads.fineweb.token_stream import TokenStream

TEXT, MODEL = "addresses.txt.xz", "addresses.model"
SEPARATOR = "\f"  # between documents
VOCAB_SIZE = 1_024
# Documents are shuffled and nine tenths are for training, as of FineWeb-Edu.
SHUFFLE_SEED = 0
TRAIN_SHARE = 0.9


def load_addresses() -> list[str]:
    """The bundled documents, oldest first."""
    file = importlib.resources.files("workloads.fineweb") / TEXT
    return lzma.decompress(file.read_bytes()).decode().split(SEPARATOR)


def encode(documents: Sequence[str]) -> list[np.ndarray]:
    """Tokens uint16 of each document, with the end of sequence appended."""
    # Here, because nothing but this workload needs it.
    import sentencepiece

    file = importlib.resources.files("workloads.fineweb") / MODEL
    tokenizer = sentencepiece.SentencePieceProcessor(model_proto=file.read_bytes())
    found = tokenizer.encode(list(documents), add_eos=True)
    return [np.asarray(tokens, np.uint16) for tokens in found]


def address_stream(split: str) -> TokenStream:
    """The tokens of `train` or `validation`, which have other documents."""
    documents = _tokens()
    order = permutation(len(documents), SHUFFLE_SEED, 0)
    num_train = int(TRAIN_SHARE * len(documents))
    rows = order[:num_train] if split == "train" else order[num_train:]
    return TokenStream.of_arrays(f"addresses ({split})", [documents[i] for i in rows])


@functools.cache
def _tokens() -> list[np.ndarray]:
    return encode(load_addresses())
