"""ImageNet's batches: a function of seed and index, equal to single images."""

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
import tiny_imagenet as tiny
from PIL import Image

from algoperf.data import permutation
from algoperf.data_options import DataOptions
from algoperf.facts import EVAL_SPLITS, UserError
from workloads.imagenet.data import ImageNet
from workloads.imagenet.files import HOME_2012, HOME_V2, ImageFiles
from workloads.imagenet.images import eval_image, train_image
from workloads.imagenet.jpeg import CorruptImage

SIZE, BATCH = 32, 4
TRAIN = tiny.EXAMPLES["train"]  # 11: epochs end within batches of 4
# One image of each set of files that damaged sets lack the end of.
DAMAGED = (tiny.train_names()[4], tiny.train_names()[9], tiny.validation_names()[3])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A prepared ImageNet; tests only read it."""
    return tiny.write(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> Path:
    """The same with three files cut short."""
    return tiny.write(tmp_path_factory.mktemp("damaged"), DAMAGED)


def source(folder: Path, threads: int = 2, mixes: bool = False, **changes) -> ImageNet:
    options = DataOptions(threads=threads, strict=changes.pop("strict", False))
    examples = dict(tiny.EXAMPLES) | changes
    return ImageNet(folder, examples, options, mixes, size=SIZE)


def batches(folder: Path, count: int, seed: int = 0, position: int = 0, **options):
    """The first training batches from `position` on, of a source of their own."""
    endless = source(folder, **options).batches("train", BATCH, seed, position)
    return list(itertools.islice(endless, count))


def assert_equal(found, expected):
    assert [batch.keys() for batch in found] == [batch.keys() for batch in expected]
    for batch, other in zip(found, expected, strict=True):
        for name, array in other.items():
            np.testing.assert_array_equal(batch[name], array, err_msg=name)


# --- training -----------------------------------------------------------------------


@pytest.mark.parametrize("mixes", [False, True])
def test_a_training_batch_is_its_images_one_by_one(folder, mixes):
    files = ImageFiles(folder, "train")
    batch_of = batches(folder, 9, seed=5, mixes=mixes)
    for index, batch in enumerate(batch_of):
        assert batch["inputs"].dtype == np.uint8
        assert batch["targets"].dtype == np.int32
        for place in range(BATCH):
            epoch, rank = divmod(index * BATCH + place, TRAIN)
            row = int(permutation(TRAIN, 5, epoch)[rank])
            image = train_image(
                files[row].data,
                "it",
                seed=5,
                epoch=epoch,
                example=row,
                size=SIZE,
                with_randaugment=mixes,
            )
            np.testing.assert_array_equal(batch["inputs"][place], image)
            assert batch["targets"][place] == tiny.labels("train")[row]


@pytest.mark.parametrize("mixes", [False, True])
@pytest.mark.parametrize(("threads", "position"), [(1, 0), (5, 0), (2, 1), (1, 4)])
def test_threads_and_position_change_no_batch(folder, mixes, threads, position):
    expected = batches(folder, 6, seed=9, mixes=mixes)[position:]
    options = {"position": position, "threads": threads, "mixes": mixes}
    found = batches(folder, 6 - position, seed=9, **options)
    assert_equal(found, expected)


def test_one_source_gives_the_same_batches_again(folder):
    twice = source(folder)
    passes = [
        list(itertools.islice(twice.batches("train", BATCH, 3), 4)) for _ in range(2)
    ]
    assert_equal(*passes)


def test_its_position_counts_the_batches_delivered(folder):
    endless = source(folder).batches("train", BATCH, 0, position=2)
    assert endless.position == 2
    next(endless)
    assert endless.position == 3


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_every_epoch_has_every_image_once(folder, seed):
    some = batches(folder, TRAIN, seed=seed)  # 11 batches of 4: four epochs
    seen = tiny.numbers_of(np.concatenate([batch["inputs"] for batch in some]))
    targets = np.concatenate([batch["targets"] for batch in some])
    assert targets.tolist() == [tiny.labels("train")[number] for number in seen]
    epochs = [seen[first : first + TRAIN] for first in range(0, len(seen), TRAIN)]
    assert len(epochs) == 4
    for epoch in epochs:
        assert sorted(epoch) == list(range(TRAIN))
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_images_are_found_in_cmyk_and_as_png(folder):
    """As some of ImageNet's are; that they are read right, their brightness tells."""
    files, modes = ImageFiles(folder, "train"), []
    for row in range(4):
        with Image.open(io.BytesIO(files[row].data)) as image:
            modes.append((image.format, image.mode))
    assert modes == [("JPEG", "RGB"), ("JPEG", "CMYK"), ("PNG", "RGB"), ("JPEG", "RGB")]
    (batch,) = source(folder).batches("eval_train", TRAIN, 0)
    seen = tiny.numbers_of(batch["inputs"][batch["weights"] == 1])
    assert {tiny.CMYK, tiny.PNG} & set(seen)


def test_an_image_is_augmented_differently_in_every_epoch(folder):
    some = batches(folder, TRAIN, seed=1)
    images = np.concatenate([batch["inputs"] for batch in some])
    numbers = np.array(tiny.numbers_of(images))
    for number in range(TRAIN):
        own = images[numbers == number]
        assert len(np.unique(own, axis=0)) == 4


@pytest.mark.parametrize("seeds", [(0, 1), (2**63 + 5, 2**63 + 9), (0, 2**64 - 1)])
def test_another_seed_gives_another_order_and_other_crops(folder, seeds):
    orders, images = [], []
    for seed in seeds:
        seen = np.concatenate([b["inputs"] for b in batches(folder, 3, seed=seed)])
        orders.append(tiny.numbers_of(seen))
        images.append(seen[np.argsort(orders[-1][:TRAIN])])
    assert orders[0] != orders[1]
    assert not np.array_equal(*images)


def test_each_batch_that_is_mixed_up_has_a_key_of_its_own(folder):
    def keys(seed: int, position: int = 0) -> list[tuple[int, ...]]:
        some = batches(folder, 3, seed=seed, position=position, mixes=True)
        for batch in some:
            assert (batch["mixup_key"].shape, batch["mixup_key"].dtype) == (
                (BATCH, 2),
                np.uint32,
            )
            assert len(np.unique(batch["mixup_key"], axis=0)) == 1
        return [tuple(batch["mixup_key"][0].tolist()) for batch in some]

    first = keys(seed=0)
    assert keys(seed=0) == first
    assert keys(seed=0, position=1)[:2] == first[1:]
    assert len({*first, *keys(seed=1)}) == 6
    assert "mixup_key" not in batches(folder, 1)[0]


# --- evaluation ---------------------------------------------------------------------


@pytest.mark.parametrize("split", ["validation", "test"])
def test_an_evaluation_is_its_images_in_order_and_padding_of_weight_0(folder, split):
    files = ImageFiles(folder, split)
    count = tiny.EXAMPLES[split]
    found = list(source(folder, mixes=True).batches(split, BATCH, seed=4))
    assert [batch["inputs"].shape for batch in found] == [(BATCH, SIZE, SIZE, 3)] * 2
    assert all(batch.keys() == {"inputs", "targets", "weights"} for batch in found)
    images, targets, weights = (
        np.concatenate([batch[name] for batch in found])
        for name in ("inputs", "targets", "weights")
    )
    assert weights.tolist() == [1] * count + [0] * (2 * BATCH - count)
    assert targets[:count].tolist() == tiny.labels(split)
    assert not images[count:].any()
    for row in range(count):
        image = eval_image(files[row].data, "it", SIZE)
        np.testing.assert_array_equal(images[row], image)


def test_the_same_training_images_are_evaluated_in_every_run(folder):
    files = ImageFiles(folder, "train")
    rows = permutation(TRAIN, 0, 0)[: tiny.EXAMPLES["eval_train"]]
    expected = [eval_image(files[row].data, "it", SIZE) for row in rows]
    for seed, batch_size in ((0, 2), (7, 3)):
        found = list(source(folder).batches("eval_train", batch_size, seed))
        weights = np.concatenate([batch["weights"] for batch in found])
        images = np.concatenate([batch["inputs"] for batch in found])
        np.testing.assert_array_equal(images[weights == 1], expected)


@pytest.mark.parametrize("split", EVAL_SPLITS)
@pytest.mark.parametrize("threads", [1, 5])
def test_an_evaluation_goes_on_at_any_position_with_any_threads(folder, split, threads):
    whole = list(source(folder).batches(split, 2, seed=0))
    rest = source(folder, threads).batches(split, 2, seed=0, position=1)
    assert_equal(list(rest), whole[1:])
    assert rest.position == len(whole)


# --- damaged images -----------------------------------------------------------------


def test_a_damaged_image_is_black_and_named_once(damaged, folder, caplog):
    data, healthy = source(damaged), source(folder)
    for found, expected in itertools.islice(
        zip(
            data.batches("train", BATCH, 0),
            healthy.batches("train", BATCH, 0),
            strict=True,
        ),
        TRAIN,  # batches: four epochs
    ):
        np.testing.assert_array_equal(found["targets"], expected["targets"])
        numbers = np.array(tiny.numbers_of(expected["inputs"]))
        bad = np.isin(numbers, [4, 9])
        assert not found["inputs"][bad].any()
        np.testing.assert_array_equal(found["inputs"][~bad], expected["inputs"][~bad])
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 2
    assert sorted(text.split(" ")[0] for text in texts) == sorted(DAMAGED[:2])
    assert all("is not a complete JPEG or PNG image: " in text for text in texts)
    assert [text[text.index(" (") :] for text in texts] == [
        " (damaged image 1, replaced by a black one)",
        " (damaged image 2, replaced by a black one)",
    ]
    list(data.batches("eval_train", TRAIN, 0))
    assert len(caplog.records) == 2, "what is evaluated of the training images too"


def test_a_damaged_image_of_an_evaluation_counts_as_a_black_one(damaged, caplog):
    data = source(damaged)
    for _ in range(2):
        (batch,) = data.batches("validation", 7, 0)
        assert [int(number) for number in np.flatnonzero(batch["weights"])] == [
            *range(7)
        ]
        assert batch["targets"].tolist() == tiny.labels("validation")
        black = [not image.any() for image in batch["inputs"]]
        assert black == [number == 3 for number in range(7)]
    (record,) = caplog.records
    assert record.name == "algoperf"
    assert record.getMessage().startswith(f"{DAMAGED[2]} is not a complete")


@pytest.mark.parametrize(
    ("split", "name"),
    [("train", f"({'|'.join(DAMAGED[:2])})"), ("validation", DAMAGED[2])],
)
def test_under_strict_a_damaged_image_ends_the_run(damaged, split, name):
    some = source(damaged, strict=True).batches(split, BATCH, 0)
    text = rf"^{name} is not a complete JPEG or PNG image: .*fetch the file again"
    with pytest.raises(CorruptImage, match=text):
        list(itertools.islice(some, 3))


# --- folders that are not right -----------------------------------------------------


@pytest.mark.parametrize(
    ("split", "asked"), [("train", "train"), ("test", "test"), ("train", "eval_train")]
)
def test_another_number_of_images_is_refused(folder, split, asked):
    data = source(folder, **{split: 1_281_167})
    with pytest.raises(UserError) as error:
        data.batches(asked, BATCH, 0)
    assert str(error.value) == (
        f"{folder} has {tiny.EXAMPLES[split]} images in {split}, and should have "
        "1,281,167; prepare it again."
    )


def test_other_splits_can_be_read_where_one_is_missing(folder, tmp_path):
    (tmp_path / HOME_2012).parent.mkdir(parents=True)
    (tmp_path / HOME_2012).symlink_to(folder / HOME_2012)
    data = source(tmp_path)
    assert len(list(data.batches("validation", BATCH, 0))) == 2
    with pytest.raises(UserError, match=rf"{HOME_V2}/dataset_info.json is missing"):
        data.batches("test", BATCH, 0)
