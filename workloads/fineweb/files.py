"""The files of tokenised FineWeb-Edu: ours, flat ones, those of AlgoPerf's users."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.facts import UserError
from workloads.fineweb.token_stream import TokenStream

TOKEN_DTYPE = np.dtype("<u2")
WIDE_DTYPE = np.dtype("<u4")
# llm.c begins its token files so (dev/data/data_common.py): 256 integers, this first.
_LLM_C_MAGIC, _LLM_C_HEADER_BYTES = 20240520, 1024
_LEAST_TO_TELL, _MOST_TO_TELL = 64, 1 << 16  # tokens that show how wide they are
INDEX = "index.json"
# Folder and file names of the splits, as AlgoPerf has them.
STEM = {"train": "train", "validation": "val"}


def open_stream(folder: Path, split: str) -> TokenStream:
    """The tokens of `train` or `validation`, memory-mapped.

    Raises:
      UserError: a file is damaged, or of a format that is not read.
    """
    stem = STEM[split]
    if (folder / INDEX).exists():
        return _indexed(folder, stem)
    if (folder / f"{stem}.bin").exists():
        path = folder / f"{stem}.bin"
        return TokenStream.of_arrays(str(path), [map_tokens(path)])
    return _arrow(folder / stem)


def map_tokens(path: Path) -> np.ndarray:
    """A flat file of little-endian uint16 or uint32 tokens, memory-mapped.

    The header of llm.c's files is skipped.

    Raises:
      UserError: it is empty, or has half a token.
    """
    size = path.stat().st_size
    if size == 0 or size % TOKEN_DTYPE.itemsize:
        raise UserError(
            f"{path} has {size:,} bytes; a file of uint16 tokens has two for each, and "
            "one token at least. It is incomplete, or another file: make it again."
        )
    tokens = np.memmap(path, TOKEN_DTYPE, mode="r")
    if tokens[:2].tobytes() == _LLM_C_MAGIC.to_bytes(4, "little"):
        return tokens[_LLM_C_HEADER_BYTES // TOKEN_DTYPE.itemsize :]
    # GPT-2's tokens fit 16 bits: if they have 32, every second half is 0.
    upper = tokens[1 : 2 * _MOST_TO_TELL : 2]
    if len(upper) < _LEAST_TO_TELL or upper.any() or size % WIDE_DTYPE.itemsize:
        return tokens
    return np.memmap(path, WIDE_DTYPE, mode="r")


def documents_name(stem: str) -> str:
    """The file with the documents of a split: int64 [3, document], rows of the token
    file, of the start in it, and of the end in the split's stream."""
    return f"{stem}_documents.npy"


def _indexed(folder: Path, stem: str) -> TokenStream:
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        names = index["files"]
        documents = np.load(folder / documents_name(stem), mmap_mode="r")
        which, starts, ends = documents
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"the index of {folder} cannot be read: {error}. Prepare it again."
        ) from None
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise UserError(
            f"{folder} does not have {', '.join(absent)}, which its {INDEX} lists. "
            "Copy what is missing, or prepare it again."
        )
    arrays = [map_tokens(folder / name) for name in names]
    return TokenStream(f"{folder} ({stem})", arrays, which, starts, ends)


def _arrow(folder: Path) -> TokenStream:
    """A folder that Hugging Face `datasets` wrote with `save_to_disk`."""
    if (folder / "dataset_spec.pb").exists():
        raise UserError(
            f"{folder} was saved by tf.data, whose snapshots only TensorFlow reads. "
            "Prepare the data from the parquet files, or save its tokens as flat "
            f"uint16 in {folder.name}.bin beside that folder."
        )
    state = _state(folder)
    if state.get("_indices_data_files"):
        raise UserError(
            f"{folder} has the order of its documents in a file of its own. Save it "
            "again with `dataset.flatten_indices().save_to_disk(FOLDER)`."
        )
    try:
        names = [file["filename"] for file in state["_data_files"]]
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{folder / 'state.json'} does not list its data files ({error!r}); save "
            "it again with `dataset.save_to_disk(FOLDER)`."
        ) from None
    arrays = [array for name in names for array in _arrow_tokens(folder / name)]
    return TokenStream.of_arrays(str(folder), arrays)


def _state(folder: Path) -> Any:
    try:
        return json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder / 'state.json'} cannot be read: {error}. The folder is read as "
            "Hugging Face datasets save it; save it again."
        ) from None


def _arrow_tokens(path: Path) -> list[np.ndarray]:
    """The column `input_ids` batch by batch, as views of the memory-mapped file."""
    pa = import_pyarrow()
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_stream(source).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(
            f"{path} cannot be read as an Arrow stream: {error}. Save it again with "
            "`dataset.save_to_disk(FOLDER)`."
        ) from None
    if "input_ids" not in table.column_names:
        raise UserError(
            f"{path} has the columns {', '.join(table.column_names)}; the tokens must "
            "be in `input_ids`. Save it again with that column."
        )
    column = table["input_ids"]
    kind = column.type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not lists or not pa.types.is_integer(kind.value_type) or column.null_count:
        raise UserError(
            f"{path}: `input_ids` is {kind} with {column.null_count} nulls; it must be "
            "lists of integers, all given. Save it again."
        )
    # `flatten` respects where a batch begins in a shared buffer.
    flat = [chunk.flatten() for chunk in column.chunks]
    return [chunk.to_numpy(zero_copy_only=True) for chunk in flat if len(chunk)]


def import_pyarrow() -> Any:
    """pyarrow with what is used of it.

    Raises:
      UserError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            "reading Arrow and parquet files needs pyarrow, which is missing here "
            f"({sys.executable}): pip install 'algoperf-jax[data]'"
        ) from None
    return pyarrow
