"""Tiny data sets of wmt in the formats of the true ones."""

import json
from dataclasses import replace

import image_files
import tensorflow_datasets as tfds
from small_wmt import FIELDS

from algoperf.prepare.run import prepare
from workloads.catalog import CATALOG
from workloads.tfds_layout import example_type, shard_name, write_info, write_records
from workloads.wmt import phrases
from workloads.wmt.prepare import HOME_14, HOME_17, Sizes, preparation

SIZES = Sizes(train=300, validation=20, test=9, vocab_size=150, lines_per_file=128)
COUNTS = {"train": SIZES.train, "validation": SIZES.validation, "test": SIZES.test}
FACTS = replace(
    CATALOG["wmt"],
    examples={**COUNTS, "eval_train": 8},
    eval_batch_size=16,
    model=FIELDS | {"vocab_size": SIZES.vocab_size},
)
RAW = "raw"


def lines() -> dict[str, list[tuple[str, str]]]:
    """Pairs of texts by split, with an empty sentence and odd characters."""
    decode, texts = phrases.tokenizer().decode, {}
    for split, count in COUNTS.items():
        found = phrases.pairs(split, count, 1)
        texts[split] = [
            tuple(decode(found.sentence(i, side)[:-1]) for side in (0, 1))
            for i in range(count)
        ]
    texts["train"][5] = ("", "the nick .")
    texts["train"][6] = ("ein\u2028Satz\x0bmit\rallem .", "all one sentence .")
    return texts


def write_text(folder, texts):
    folder.mkdir(parents=True, exist_ok=True)
    for split, pairs in texts.items():
        for side, language in enumerate(("de", "en")):
            content = "".join(f"{pair[side]}\n" for pair in pairs)
            (folder / f"{split}.{language}").write_bytes(content.encode())


def write_tfds(folder, texts, file_format="array_record"):
    """The two data sets as TFDS has them; the training set in two shards."""
    features = tfds.features.Translation(("de", "en"))
    for home, splits in ((HOME_17, ["train"]), (HOME_14, ["validation", "test"])):
        name, config, version = home.split("/")
        (folder / home).mkdir(parents=True)
        shards = {}
        for split in splits:
            half = len(texts[split]) // 2
            parts = [texts[split][:half], texts[split][half:]]
            shards[split] = [(len(part), 100) for part in parts]
            for index, part in enumerate(parts):
                path = folder / home / shard_name(name, split, index, 2, file_format)
                if file_format == "tfrecord":
                    path.write_bytes(image_files.tfrecord(map(record, part)))
                else:
                    write_records(path, map(record, part))
        write_info(
            folder / home,
            name,
            version,
            features,
            shards,
            config,
        )
        info = folder / home / "dataset_info.json"
        content = json.loads(info.read_text()) | {"fileFormat": file_format}
        info.write_text(json.dumps(content))


def record(pair, names=("de", "en")) -> bytes:
    example = example_type()()
    for name, text in zip(names, pair, strict=True):
        content = text if isinstance(text, bytes) else text.encode()
        example.features.feature[name].bytes_list.value.append(content)
    return example.SerializeToString()


def prepared(tmp_path, sizes=SIZES):
    prepare(preparation(sizes), tmp_path / RAW, tmp_path, lambda line: None)
    return tmp_path / "wmt"
