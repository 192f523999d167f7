"""Crops follow TensorFlow's sampler; whole images are cut, resized and mirrored."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from workloads.imagenet import jpeg
from workloads.imagenet.crops import (
    IMAGENET_CROPS,
    Box,
    CropRange,
    eval_box,
    pad_crop_flip,
    training_box,
)
from workloads.imagenet.images import eval_image, train_image
from workloads.imagenet.jpeg import CorruptImage
from workloads.imagenet.randaugment import randaugment
from workloads.imagenet.random_draws import epoch_draws, example_draws
from workloads.imagenet.resize import resize_to_uint8


def boxes(height: int, width: int, number: int, **ranges) -> list[Box]:
    crops = CropRange(**ranges)
    return [
        training_box(height, width, example_draws(7, 0, i, crops.num_draws), crops)
        for i in range(number)
    ]


def jpeg_of(height: int, width: int) -> bytes:
    pixels = np.random.default_rng(height).integers(
        0, 256, (height, width, 3), np.uint8
    )
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return stream.getvalue()


# --- random boxes -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "width"), [(375, 500), (500, 375), (224, 224), (40, 33), (90, 300)]
)
def test_boxes_are_inside_and_of_the_allowed_shape(height, width):
    for box in boxes(height, width, 2000):
        assert 0 <= box.top <= height - box.height
        assert 0 <= box.left <= width - box.width
        area = box.height * box.width / (height * width)
        assert 0.1 <= area <= 1
        # The width is the rounded product of height and width / height.
        assert box.width >= 3 / 4 * box.height - 0.5
        assert box.width <= 4 / 3 * box.height + 0.5


def test_heights_are_uniform_for_a_fixed_aspect():
    found = boxes(100, 100, 30_000, min_aspect=1.0, max_aspect=1.0, min_covered=0.0)
    heights = np.array([box.height for box in found])
    # The area is 0.08 ... 1 of 100 x 100, so squares of 28 ... 100; 28 is too small.
    # A square of 100 is the whole image and gives the centre, 87.
    counts = np.bincount(heights, minlength=101)
    assert heights.min() == 29
    assert heights.max() == 99
    expected = len(found) / 73
    # 28 becomes 29, and 100 becomes 87.
    assert counts[29] == pytest.approx(2 * expected, rel=0.2)
    assert counts[87] == pytest.approx(2 * expected, rel=0.2)
    others = np.delete(counts[29:100], [0, 87 - 29])
    assert abs(others - expected).max() < 4.5 * math.sqrt(expected)


def test_places_are_uniform():
    """TensorFlow's sampler never takes the last place: 0 ... 49 of 0 ... 50."""
    small = CropRange(0.25, 0.25, 1.0, 1.0)
    found = [
        training_box(100, 100, example_draws(1, 0, i, small.num_draws), small)
        for i in range(20_000)
    ]
    assert {(box.height, box.width) for box in found} == {(50, 50)}
    for places in ([box.top for box in found], [box.left for box in found]):
        counts = np.bincount(places, minlength=51)
        assert counts[50] == 0
        assert abs(counts[:50] - 400).max() < 4.5 * 20
    correlation = np.corrcoef([box.top for box in found], [b.left for b in found])
    assert abs(correlation[0, 1]) < 0.03


def by_definition(height: int, width: int, rng: np.random.Generator):
    """One attempt by rejection: allowed heights are listed, not computed."""
    aspect = rng.uniform(3 / 4, 4 / 3)
    heights = [
        h
        for h in range(1, height + 1)
        if 0.08 * height * width <= h * round(h * aspect) <= height * width
        and round(h * aspect) <= width
    ]
    h = int(rng.choice(heights))
    return h, round(h * aspect)


def test_sizes_are_distributed_like_those_of_a_listing_of_all_heights():
    rng = np.random.default_rng(0)
    height, width = 90, 120
    listed = [by_definition(height, width, rng) for _ in range(8000)]
    kept = np.array([s for s in listed if s[0] * s[1] >= 0.1 * height * width])
    found = np.array([(b.height, b.width) for b in boxes(height, width, 8000)])
    np.testing.assert_allclose(found.mean(0), kept.mean(0), rtol=0.02)
    np.testing.assert_allclose(found.std(0), kept.std(0), rtol=0.03)
    quantiles = [0.05, 0.25, 0.5, 0.75, 0.95]
    np.testing.assert_allclose(
        np.quantile(found.prod(1), quantiles),
        np.quantile(kept.prod(1), quantiles),
        rtol=0.06,
    )


@pytest.mark.parametrize(("height", "width"), [(20, 2000), (2000, 20), (1, 1), (1, 50)])
def test_images_that_no_crop_fits_give_their_centre(height, width):
    assert set(boxes(height, width, 50)) == {eval_box(height, width)}


def test_a_crop_of_the_whole_image_gives_the_centre():
    whole = {"min_area": 1.0, "min_aspect": 1.0, "max_aspect": 1.0}
    assert set(boxes(64, 64, 50, **whole)) == {Box(4, 4, 56, 56)}


def test_small_crops_are_drawn_again():
    ranges = {"min_area": 0.05, "max_area": 0.3, "min_covered": 0.25}
    found = boxes(200, 200, 500, **ranges, attempts=200)
    assert min(box.height * box.width for box in found) >= 0.25 * 200 * 200
    assert max(box.height * box.width for box in found) <= 0.3 * 200 * 200


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [
        (256, 256, Box(16, 16, 224, 224)),
        (375, 500, Box(24, 86, 328, 328)),  # 375 · 0.875 = 328.1; (47 + 1) // 2
        (500, 334, Box(104, 21, 292, 292)),
        (1, 9, Box(0, 4, 1, 1)),
    ],
)
def test_the_evaluation_crop_is_the_centre(height, width, box):
    assert eval_box(height, width) == box


# --- CIFAR --------------------------------------------------------------------------


def test_cifar_images_are_padded_cropped_and_mirrored():
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (600, 8, 6, 3), dtype=np.uint8)
    result = pad_crop_flip(images, epoch_draws(0, 0, 600))
    assert result.shape == images.shape
    assert result.dtype == np.uint8
    seen = set()
    for image, made in zip(images, result, strict=True):
        padded = np.zeros((12, 10, 3), np.uint8)
        padded[2:10, 2:8] = image
        options = {
            (top, left, mirror): padded[top : top + 8, left : left + 6][:, ::mirror]
            for top in range(5)
            for left in range(5)
            for mirror in (1, -1)
        }
        matches = [k for k, part in options.items() if np.array_equal(part, made)]
        assert len(matches) == 1
        seen.update(matches)
    assert len(seen) == 50


def test_cifar_choices_are_uniform():
    images = np.zeros((50_000, 1, 1, 1), np.uint8) + np.uint8(255)
    draws = epoch_draws(1, 2, 50_000)
    # One pixel shows only where the crop does not move: 1 of 25.
    shown = pad_crop_flip(images, draws)[:, 0, 0, 0] > 0
    assert shown.mean() == pytest.approx(1 / 25, abs=0.004)
    pair = np.zeros((50_000, 1, 2, 1), np.uint8)
    pair[:, :, 0] = 255
    left = pad_crop_flip(pair, draws, padding=0)[:, 0, 0, 0] > 0
    assert left.mean() == pytest.approx(0.5, abs=0.01)


def test_a_cifar_image_does_not_depend_on_its_batch():
    images = np.random.default_rng(2).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    draws = epoch_draws(5, 1, 30)
    together = pad_crop_flip(images, draws)
    alone = [pad_crop_flip(images[i : i + 1], draws[i : i + 1])[0] for i in range(30)]
    np.testing.assert_array_equal(together, alone)


# --- whole images -------------------------------------------------------------------


def test_a_training_image_is_a_resized_crop_mirrored_half_of_the_time():
    data = jpeg_of(60, 80)
    pixels = jpeg.decode(data, "it")
    mirrored = 0
    for example in range(60):
        image = train_image(data, "it", seed=1, epoch=2, example=example, size=24)
        draws = example_draws(1, 2, example, 40)
        top, left, height, width = training_box(60, 80, draws)
        crop = pixels[top : top + height, left : left + width]
        plain = resize_to_uint8(crop, 24)
        matches = [np.array_equal(image, p) for p in (plain, plain[:, ::-1])]
        assert sum(matches) == 1
        mirrored += matches[1]
    assert 15 < mirrored < 45


def test_a_training_image_depends_on_seed_epoch_and_example_alone():
    data = jpeg_of(50, 50)
    keys = {"seed": 1, "epoch": 2, "example": 3}
    first = train_image(data, "it", **keys, size=16)
    np.testing.assert_array_equal(first, train_image(data, "it", **keys, size=16))
    for key in keys:
        other = train_image(data, "it", **keys | {key: 9}, size=16)
        assert not np.array_equal(first, other)


def test_randaugment_comes_after_crop_and_mirror_with_draws_of_its_own():
    data = jpeg_of(50, 60)
    for example in range(30):
        keys = {"seed": 0, "epoch": 0, "example": example, "size": 32}
        plain = train_image(data, "it", **keys)
        draws = example_draws(0, 0, example, 47)[41:]  # after the crop and the mirror
        np.testing.assert_array_equal(
            train_image(data, "it", **keys, with_randaugment=True),
            randaugment(plain, draws, scale=32 / 224),
        )


def test_an_evaluation_image_is_the_resized_centre():
    data = jpeg_of(48, 64)
    crop = jpeg.decode(data, "it")[3:45, 11:53]
    np.testing.assert_array_equal(
        eval_image(data, "it", size=32), resize_to_uint8(crop, 32)
    )


def test_a_file_cut_short_names_itself():
    cut = jpeg_of(48, 64)[:-2]
    with pytest.raises(CorruptImage, match=r"^val/7\.JPEG is not a complete"):
        eval_image(cut, "val/7.JPEG")
    with pytest.raises(CorruptImage, match=r"^train/7\.JPEG is not a complete"):
        train_image(cut, "train/7.JPEG", seed=0, epoch=0, example=0)


def test_damage_below_the_crop_is_found_if_all_has_to_be_right():
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(256, size=(300, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, "JPEG")
    whole = stream.getvalue()
    at = len(whole) * 9 // 10
    damaged = whole[:at] + b"\xff\xd9" + whole[-2:]
    keys = {"seed": 0, "epoch": 0, "size": 16}
    boxes = {
        i: training_box(
            300, 400, example_draws(0, 0, i, 40)[: IMAGENET_CROPS.num_draws]
        )
        for i in range(20)
    }
    example = min(boxes, key=lambda i: boxes[i].top + boxes[i].height)
    np.testing.assert_array_equal(
        train_image(damaged, "it", example=example, **keys),
        train_image(whole, "it", example=example, **keys, strict=True),
    )
    with pytest.raises(CorruptImage, match="it is not a complete JPEG"):
        train_image(damaged, "it", example=example, **keys, strict=True)
