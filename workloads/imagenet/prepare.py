"""Prepares ImageNet 2012 and ImageNet-V2 as TFDS has them, in ArrayRecord.

The official tar files are copied image by image, as bytes: nothing is encoded again.
(TFDS re-encodes 22 CMYK images and one PNG; here the reader decodes them.) Within the
shards the images are in the order of the tar files, class after class, so readers have
to permute; `tfds.load(split="train[:10%]")` would be a tenth of the classes.
"""

import functools
import importlib.util
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from algoperf.facts import UserError
from algoperf.prepare.plan import Made, Part, Preparation, Raw, RawFile, Source, Unit
from workloads import tar_members
from workloads.imagenet.files import HOME_2012, HOME_V2
from workloads.tar_members import Member
from workloads.tfds_layout import (
    INFO,
    descriptions,
    example_type,
    shard_name,
    write_info,
    write_records,
)
from workloads.tfds_source import tfds_source

TRAIN_TAR, VALIDATION_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
V2_TAR = "imagenetv2-matched-frequency.tar"

# A training shard has a few classes: 250 shards can all be open at once under the
# usual limit of 1,024 open files, and a killed run loses seconds.
CLASSES_PER_SHARD = 4
IMAGES_PER_SHARD = 2_000
_IMAGE_STARTS = (b"\xff\xd8", b"\x89PNG")
_ASK = "image-net.org/download-images (free, with an account)"

# Sizes and checksums: TFDS, datasets/imagenet2012 and imagenet_v2, checksums.tsv.
_TRAIN = RawFile(
    TRAIN_TAR,
    147_897_477_120,
    "sha256:b08200a27a8e34218a0e58fde36b0fe8f73bc377f4acea2d91602057c3ca45bb",
    how_to_get=_ASK,
)
_VALIDATION = RawFile(
    VALIDATION_TAR,
    6_744_924_160,
    "sha256:c7e06a6c0baccf06d8dbeb6577d71efff84673a5dbdd50633ab44f8ea0456ae0",
    how_to_get=_ASK,
)
_V2 = RawFile(
    f"{V2_TAR}.gz",
    1_264_079_360,
    "sha256:f0c37fdf925916b19ea1323cd9a2208cdb6959ba2c32eef2a7fc393835c9ca7c",
    url=(
        f"https://huggingface.co/datasets/vaishaal/ImageNetV2/resolve/main/{V2_TAR}.gz"
    ),
)
_V2_UNPACKED = RawFile(V2_TAR, how_to_get="the same, gunzipped")


@dataclass(frozen=True)
class Sizes:
    """What the whole data sets have; tests have smaller ones.

    `classes()` are the WordNet ids in the order of the class indices (which is their
    sorted order), and `validation_labels()` those of the validation images in the
    order of their names: the official validation tar has no labels.
    """

    classes: Callable[[], Sequence[str]]
    validation_labels: Callable[[], Sequence[str]]
    train: int = 1_281_167
    validation: int = 50_000
    v2: int = 10_000
    raw: tuple[RawFile, ...] = (_TRAIN, _VALIDATION)
    raw_v2: tuple[RawFile, ...] = (_V2, _V2_UNPACKED)


def preparation(sizes: Sizes | None = None) -> Preparation:
    """ImageNet 2012 (train, validation) and ImageNet-V2 matched frequency (test)."""
    sizes = sizes or Sizes(
        functools.partial(_lines, "labels.txt"),
        functools.partial(_lines, "validation_labels.txt"),
    )
    tars = Source(
        "the official tar files",
        sizes.raw,
        functools.partial(_units_2012, sizes),
        functools.partial(_finish, sizes, HOME_2012),
    )
    tars_v2 = [
        Source(
            file.name,
            (file,),
            functools.partial(_units_v2, sizes, file.name),
            functools.partial(_finish, sizes, HOME_V2),
        )
        for file in sizes.raw_v2
    ]
    tfds_2012 = tfds_source(HOME_2012, ("train", "validation"), HOME_2012)
    return Preparation(
        folder="imagenet",
        summary="ImageNet 2012 and ImageNet-V2",
        parts=(
            Part(
                "imagenet2012",
                {"train": sizes.train, "validation": sizes.validation},
                (tfds_2012, tars),
            ),
            Part(
                "imagenet_v2",
                {"test": sizes.v2},
                (tfds_source(HOME_V2, ("test",), HOME_V2), *tars_v2),
            ),
        ),
    )


def _lines(name: str) -> Sequence[str]:
    """A list of WordNet ids that the package tensorflow_datasets comes with."""
    spec = importlib.util.find_spec("tensorflow_datasets")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "datasets" / "imagenet2012" / name
        if path.exists():
            return path.read_text().split()
    raise UserError(
        f"the package tensorflow_datasets has no datasets/imagenet2012/{name}, which "
        "has the classes; install it: pip install 'tensorflow-datasets>=4.9.9'"
    )


def _units_2012(sizes: Sizes, raw: Raw, folder: Path) -> list[Unit]:
    train, validation = (raw[file.name] for file in sizes.raw)
    return [*_train_units(sizes, train), *_validation_units(sizes, validation)]


def _train_units(sizes: Sizes, tar: Path) -> list[Unit]:
    """Shards of a few classes: the tar file has a tar file for each class."""
    archives = {PurePosixPath(m.name).stem: m for m in tar_members.index(tar)}
    classes = sizes.classes()
    absent = [wnid for wnid in classes if wnid not in archives]
    if absent or len(archives) != len(classes):
        raise UserError(
            f"{tar} has {len(archives):,} classes, and should have {len(classes):,}; "
            f"missing: {', '.join(absent[:5]) or 'none'}. Fetch it again."
        )
    numbered = [(label, archives[wnid]) for label, wnid in enumerate(classes)]
    groups = _groups(numbered, CLASSES_PER_SHARD)
    return [
        Unit(
            _path(HOME_2012, "train", number, len(groups)),
            "train",
            sum(archive.size for _, archive in group),
            functools.partial(_write, functools.partial(_train_images, tar, group)),
        )
        for number, group in enumerate(groups)
    ]


def _train_images(tar: Path, group: Sequence[tuple[int, Member]]) -> Iterator[bytes]:
    for label, archive in group:
        for name, image in tar_members.contents(tar, archive):
            yield _example(tar, image, label, name)


def _validation_units(sizes: Sizes, tar: Path) -> list[Unit]:
    members = sorted(tar_members.index(tar), key=lambda member: member.name)
    labels = sizes.validation_labels()
    if len(members) != len(labels):
        raise UserError(
            f"{tar} has {len(members):,} images, and should have {len(labels):,}. "
            "Fetch it again."
        )
    label_of = {wnid: label for label, wnid in enumerate(sizes.classes())}
    numbered = [
        (label_of[wnid], member) for wnid, member in zip(labels, members, strict=True)
    ]
    groups = _groups(numbered, IMAGES_PER_SHARD)
    return [
        Unit(
            _path(HOME_2012, "validation", number, len(groups)),
            "validation",
            sum(member.size for _, member in group),
            functools.partial(
                _write, functools.partial(_validation_images, tar, group)
            ),
        )
        for number, group in enumerate(groups)
    ]


def _validation_images(
    tar: Path, group: Sequence[tuple[int, Member]]
) -> Iterator[bytes]:
    for label, member in group:
        image = tar_members.read(tar, member)
        yield _example(tar, image, label, PurePosixPath(member.name).name)


def _units_v2(sizes: Sizes, name: str, raw: Raw, folder: Path) -> list[Unit]:
    """One shard: a compressed file can only be read from its beginning."""
    tar = raw[name]
    return [
        Unit(
            _path(HOME_V2, "test", 0, 1),
            "test",
            tar.stat().st_size,
            functools.partial(_write, functools.partial(_v2_images, sizes, tar)),
        )
    ]


def _v2_images(sizes: Sizes, tar: Path) -> Iterator[bytes]:
    classes = len(sizes.classes())
    for name, image in tar_members.stream(tar):
        path = PurePosixPath(name)
        label = path.parent.name
        if not label.isdecimal() or int(label) >= classes:
            raise UserError(
                f"{tar}: {name} is in no folder 0 ... {classes - 1}, the number of "
                "its class. Fetch it again."
            )
        yield _example(tar, image, int(label), f"{label}/{path.name}")


def _write(examples: Callable[[], Iterable[bytes]], path: Path) -> int:
    return write_records(path, examples())


def _finish(sizes: Sizes, home: str, raw: Raw, folder: Path, made: Made) -> list[str]:
    # Here, and not above: TFDS takes a while to import.
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=list(sizes.classes())),
            "file_name": tfds.features.Text(),
        }
    )
    splits = dict.fromkeys(entry.split for entry in made.values())
    shards = {
        split: [(e.records, e.bytes) for e in made.values() if e.split == split]
        for split in splits
    }
    name, *config, version = home.split("/")
    write_info(folder / home, name, version, features, shards, "".join(config))
    return [
        *(f"{home}/{path.name}" for path in descriptions(folder / home)),
        f"{home}/{INFO}",
    ]


def _example(tar: Path, image: bytes, label: int, name: str) -> bytes:
    """A serialized tf.train.Example with TFDS's features of ImageNet."""
    if not image.startswith(_IMAGE_STARTS):
        raise UserError(
            f"{tar}: {name} is not an image: it begins with "
            f"{image[:4].hex(' ') or 'nothing'}. Fetch it again."
        )
    example = example_type()()
    feature = example.features.feature
    feature["image"].bytes_list.value.append(image)
    feature["label"].int64_list.value.append(label)
    feature["file_name"].bytes_list.value.append(name.encode())
    # In a fixed order of the features: the same shard every time.
    return example.SerializeToString(deterministic=True)


def _path(home: str, split: str, number: int, count: int) -> str:
    return f"{home}/{shard_name(home.split('/')[0], split, number, count)}"


def _groups(items: Sequence, size: int) -> list[Sequence]:
    return [items[start : start + size] for start in range(0, len(items), size)]
