"""RandAugment's policy: which operations, how strong, and drawn how."""

from collections import Counter

import numpy as np
import pytest
from augment_images import IMAGE, LARGE, NOISE, apply, blended, picture

from workloads.imagenet import augment_ops as ops
from workloads.imagenet.randaugment import NUM_DRAWS, OPERATIONS, choices, randaugment
from workloads.imagenet.random_draws import example_draws

NAMES = [
    "AutoContrast",
    "Equalize",
    "Invert",
    "Rotate",
    "Posterize",
    "Solarize",
    "Color",
    "Contrast",
    "Brightness",
    "Sharpness",
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Cutout",
    "SolarizeAdd",
]


def test_there_are_the_sixteen_operations():
    assert list(OPERATIONS) == NAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("image", [IMAGE, LARGE, NOISE[:1, :1], NOISE[:3, :2]])
def test_operations_keep_shape_and_type_and_leave_their_input_alone(name, image):
    before = image.copy()
    result = apply(name, image)
    assert (result.shape, result.dtype) == (image.shape, np.uint8)
    np.testing.assert_array_equal(image, before)


def test_operations_have_the_strength_of_magnitude_10():
    expected = {
        "Posterize": LARGE // 16 * 16,
        "Solarize": 255 - LARGE,
        "Brightness": blended(np.zeros_like(LARGE), LARGE, 19),
        "Contrast": blended(np.full_like(LARGE, 196), LARGE, 19),
        "SolarizeAdd": ops.solarize_add(LARGE, 110),
        "Color": ops.color(LARGE, 1.9),
        "Sharpness": ops.sharpness(LARGE, 1.9),
    }
    for name, result in expected.items():
        np.testing.assert_array_equal(apply(name, LARGE), result, err_msg=name)
    shifted = apply("TranslateX", LARGE, -1)
    np.testing.assert_array_equal(shifted[:, 100:], LARGE[:, :124])
    assert (shifted[:, :100] == 128).all()
    np.testing.assert_array_equal(apply("TranslateY", LARGE)[:124], LARGE[100:])
    hidden = np.argwhere((apply("Cutout", LARGE, column=120) != LARGE).any(-1))
    assert hidden.min(0).tolist() == [60, 80]
    assert hidden.max(0).tolist() == [139, 159]


def test_sizes_in_pixels_scale_with_the_image():
    small = picture(32, 32)
    scale = 32 / 224  # 100 and 40 pixels become 14 and 6
    shifted = apply("TranslateY", small, scale=scale)
    np.testing.assert_array_equal(shifted[:18], small[14:])
    assert (shifted[18:] == 128).all()
    white = np.full((32, 32, 3), 255, np.uint8)
    hidden = (apply("Cutout", white, row=16, column=16, scale=scale) == 128).all(-1)
    assert hidden.sum() == 12 * 12


def test_two_operations_are_applied_one_after_the_other():
    for example in range(30):
        draws = example_draws(0, 0, example, NUM_DRAWS)
        (first, one), (second, two) = choices(23, 31, draws)
        expected = OPERATIONS[second](OPERATIONS[first](IMAGE, one), two)
        np.testing.assert_array_equal(randaugment(IMAGE, draws), expected)


def test_choices_are_uniform_and_independent():
    number = 8000
    layers = [
        choices(224, 224, example_draws(1, 0, i, NUM_DRAWS)) for i in range(number)
    ]
    pairs = Counter((first[0], second[0]) for first, second in layers)
    assert len(pairs) == 256
    expected = number / 256
    chi_square = sum((count - expected) ** 2 / expected for count in pairs.values())
    assert 160 < chi_square < 370  # 255 degrees of freedom, five deviations
    drawn = [choice for layer in layers for _, choice in layer]
    assert abs(np.mean([choice.sign for choice in drawn])) < 0.03
    for centres in ([c.row for c in drawn], [c.column for c in drawn]):
        assert (min(centres), max(centres)) == (0, 223)
        assert np.mean(centres) == pytest.approx(111.5, abs=2)
    assert (
        abs(np.corrcoef([(c.row, c.column) for c in drawn], rowvar=False)[0, 1]) < 0.03
    )
