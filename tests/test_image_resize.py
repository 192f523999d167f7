"""The bicubic interpolation is Keys' one, pixel by pixel."""

import math
import threading

import numpy as np
import pytest
from PIL import Image

from workloads.imagenet import resize as module
from workloads.imagenet.resize import resize, resize_to_uint8

SHAPES = [(17, 23, 8), (8, 8, 8), (5, 31, 24), (1, 3, 8), (2, 1, 5), (60, 40, 13)]


def keys(distance: float) -> float:
    """Keys' equation 15."""
    s = abs(distance)
    if s < 1:
        return 3 / 2 * s**3 - 5 / 2 * s**2 + 1
    if s < 2:
        return -1 / 2 * s**3 + 5 / 2 * s**2 - 4 * s + 2
    return 0.0


def interpolated(line: list, position: float):
    """The value between the samples of a line, those outside left out."""
    first = math.floor(position) - 1
    inside = [i for i in range(first, first + 4) if 0 <= i < len(line)]
    total = sum(keys(position - i) for i in inside)
    return sum(keys(position - i) * line[i] for i in inside) / total


def slowly(image: np.ndarray, size: int) -> np.ndarray:
    """The definition in float64, one output after the other."""
    height, width, _ = image.shape
    lines = list(image.astype(float))
    rows = [interpolated(lines, (i + 0.5) * height / size - 0.5) for i in range(size)]
    columns = list(np.stack(rows).swapaxes(0, 1))
    made = [interpolated(columns, (i + 0.5) * width / size - 0.5) for i in range(size)]
    return np.stack(made, axis=1)


def image_of(height: int, width: int, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width", "size"), SHAPES)
def test_values_are_those_of_the_definition(height, width, size):
    image = image_of(height, width)
    result = resize(image, size)
    assert result.shape == (size, size, 3)
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    np.testing.assert_allclose(result, slowly(image, size), rtol=0, atol=2e-4)


@pytest.mark.parametrize(("height", "width", "size"), SHAPES)
@pytest.mark.parametrize("mirror", [False, True])
def test_uint8_is_the_clipped_and_rounded_result(height, width, size, mirror):
    image = image_of(height, width)
    exact = slowly(image, size).clip(0, 255)
    result = resize_to_uint8(image, size, mirror)
    assert result.dtype == np.uint8
    if mirror:
        exact = exact[:, ::-1]
    assert np.abs(result - exact).max() <= 0.5 + 2e-4
    clear = np.abs(exact - np.floor(exact) - 0.5) > 2e-4
    np.testing.assert_array_equal(result[clear], np.rint(exact)[clear])


def test_enlarging_agrees_with_pillow():
    # Pillow filters when it shrinks, but not when it enlarges.
    plane = image_of(19, 27, 1)[..., 0].astype(np.float32)
    by_pillow = Image.fromarray(plane).resize((40, 40), Image.Resampling.BICUBIC)
    result = resize(plane[..., None], 40)[..., 0]
    np.testing.assert_allclose(result, np.asarray(by_pillow), rtol=0, atol=1e-3)


def test_the_same_size_changes_nothing():
    image = image_of(24, 24)
    np.testing.assert_array_equal(resize(image, 24), image)
    np.testing.assert_array_equal(resize_to_uint8(image, 24), image)


def test_a_constant_stays_constant_up_to_the_border():
    image = np.full((37, 53, 3), 201, np.uint8)
    np.testing.assert_allclose(resize(image, 29), 201, rtol=1e-6)


def test_the_result_overshoots_only_before_it_is_clipped():
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, 8:] = 255
    result = resize(image, 56)
    assert result.min() < -5
    assert result.max() > 260
    levels = resize_to_uint8(image, 56)
    assert (levels.min(), levels.max()) == (0, 255)


def test_halves_are_rounded_to_even():
    # Halfway between two samples of a line the weights are -1/16, 9/16, 9/16, -1/16:
    # enlarging one pixel to two copies it, shrinking six to three meets the middles.
    line = np.array([0, 0, 1, 0, 0, 0], np.uint8) * 8  # 8 · 9/16 = 4.5
    image = np.broadcast_to(line[None, :, None], (6, 6, 3))
    assert resize(image, 3)[1, 1, 0] == 4.5
    assert resize_to_uint8(image, 3)[1, 1, 0] == 4


def test_blas_cuts_of_large_products_do_not_show(monkeypatch):
    image = image_of(90, 70)
    whole = resize(image, 32)
    monkeypatch.setattr(module, "_MAX_PRODUCT", 3000)
    np.testing.assert_allclose(resize(image, 32), whole, rtol=0, atol=1e-4)


def test_threads_do_not_disturb_each_other():
    image = image_of(80, 90)
    expected = [resize_to_uint8(image[: 40 + i], 33) for i in range(40)]
    module._blocks.cache_clear()
    found: dict[tuple[int, int], np.ndarray] = {}

    def work(thread: int) -> None:
        for i in range(40):
            found[thread, i] = resize_to_uint8(image[: 40 + i], 33)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 160
    for (_, i), result in found.items():
        np.testing.assert_array_equal(result, expected[i])
