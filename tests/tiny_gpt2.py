"""A tokenizer of 260 tokens in the format of GPT-2's, and token files made with it."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from workloads.fineweb.prepare import TOKENIZER, Tokenizer

MERGES = (("t", "h"), ("th", "e"), ("Ġ", "the"))
END = 256 + len(MERGES)
VOCAB_SIZE = END + 1


def characters() -> list[str]:
    """How GPT-2's files write the bytes, in the order of their numbers."""
    ranges = (range(ord("!"), ord("~") + 1), range(0xA1, 0xAD), range(0xAE, 0x100))
    return [chr(byte) for some in ranges for byte in some] + [
        chr(256 + i) for i in range(68)
    ]


def write_tokenizer(folder: Path) -> Tokenizer:
    """Writes vocab.bpe and encoder.json; returns what their preparation expects."""
    lines = ["#version: 0.2", *(" ".join(pair) for pair in MERGES)]
    tokens = [*characters(), *("".join(pair) for pair in MERGES), "<|endoftext|>"]
    contents = {
        "vocab.bpe": "\n".join(lines) + "\n",
        "encoder.json": json.dumps({token: i for i, token in enumerate(tokens)}),
    }
    files = []
    for name, content in contents.items():
        encoded = content.encode()
        (folder / name).write_bytes(encoded)
        digest = f"sha256:{hashlib.sha256(encoded).hexdigest()}"
        files.append(replace(TOKENIZER[len(files)], bytes=len(encoded), digest=digest))
    return Tokenizer((files[0], files[1]), VOCAB_SIZE)


def write_flat(folder: Path, train: np.ndarray, val: np.ndarray) -> None:
    """train.bin and val.bin of uint16."""
    folder.mkdir(parents=True, exist_ok=True)
    train.astype("<u2").tofile(folder / "train.bin")
    val.astype("<u2").tofile(folder / "val.bin")


def write_arrow(folder: Path, documents: list[list[int]], per_batch: int = 2) -> None:
    """A folder as Hugging Face `datasets` saves one, of int32 lists, in two files."""
    import pyarrow as pa

    folder.mkdir(parents=True)
    schema = pa.schema([("input_ids", pa.list_(pa.int32()))])
    half = len(documents) // 2
    names = []
    for i, part in enumerate((documents[:half], documents[half:])):
        names.append(f"data-0000{i}-of-00002.arrow")
        with pa.ipc.new_stream(folder / names[-1], schema) as writer:
            for start in range(0, len(part), per_batch):
                rows = part[start : start + per_batch]
                batch = pa.record_batch([pa.array(rows, schema[0].type)], schema=schema)
                writer.write_batch(batch)
    state = {"_data_files": [{"filename": name} for name in names]}
    (folder / "state.json").write_text(json.dumps(state))
