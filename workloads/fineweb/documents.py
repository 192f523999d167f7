"""Text of raw files, document by document: parquet and JSON Lines."""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from algoperf.facts import UserError
from workloads.fineweb.files import import_pyarrow

COLUMN = "text"
_ROWS_AT_ONCE = 1_024


def parquet_texts(path: Path) -> Iterator[list[str]]:
    """The column `text` of a parquet file, some rows at a time.

    Raises:
      UserError: it is not parquet, is damaged, or has no such column of strings.
    """
    pa = import_pyarrow()
    try:
        with pa.parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            if COLUMN not in schema.names or not _is_text(pa, schema.field(COLUMN)):
                columns = ", ".join(f"{field.name}: {field.type}" for field in schema)
                raise UserError(
                    f"{path} has the columns {columns}; the documents must be strings "
                    f"in `{COLUMN}`. Fetch the files of HuggingFaceFW/fineweb-edu."
                )
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[COLUMN]):
                yield _texts(path, batch.column(0))
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{path} cannot be read as parquet: {error}. Fetch it again."
        ) from None


def _is_text(pa, field) -> bool:
    return pa.types.is_string(field.type) or pa.types.is_large_string(field.type)


def _texts(path: Path, column) -> list[str]:
    try:
        return [text or "" for text in column.to_pylist()]
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} has a document that is not UTF-8 ({error}). Fetch it again."
        ) from None


def json_texts(path: Path) -> Iterator[list[str]]:
    """The field `text` of every line of a JSON Lines file, gzipped or not.

    Raises:
      UserError: a line is not UTF-8, not JSON, or has no such string.
    """
    is_zipped = path.suffix == ".gz"
    texts: list[str] = []
    with gzip.open(path) if is_zipped else path.open("rb") as file:
        for number, line in enumerate(_lines(path, file), 1):
            if not line.strip():
                continue
            texts.append(_text(path, number, line))
            if len(texts) == _ROWS_AT_ONCE:
                yield texts
                texts = []
    if texts:
        yield texts


def _lines(path: Path, file: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from file
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}. Fetch it again.") from None


def _text(path: Path, number: int, line: bytes) -> str:
    try:
        text = json.loads(line.decode("utf-8"))[COLUMN]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path}, line {number}: {error!r}. Each line must be a JSON object in "
            f"UTF-8 with the document in `{COLUMN}`. Fetch it again."
        ) from None
    if not isinstance(text, str):
        raise UserError(
            f"{path}, line {number}: `{COLUMN}` is {json.dumps(text)[:40]}, not a "
            "string. Fetch it again."
        )
    return text
