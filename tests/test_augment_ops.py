"""Every operation of RandAugment against Pillow or against loops over the pixels."""

import math

import numpy as np
import pytest
from augment_images import IMAGE, LARGE, NOISE, apply, blended, picture
from PIL import Image, ImageChops, ImageEnhance, ImageOps

from workloads.imagenet import augment_ops as ops

IMAGES = pytest.mark.parametrize("image", [IMAGE, NOISE], ids=["patches", "noise"])


def pil(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image)


# --- levels -------------------------------------------------------------------------


@IMAGES
def test_equalize_is_pillows(image):
    np.testing.assert_array_equal(ops.equalize(image), ImageOps.equalize(pil(image)))


def test_equalize_leaves_a_channel_alone_whose_step_is_0():
    few = NOISE[:10, :20]  # 200 pixels: fewer than 255 below the highest level
    np.testing.assert_array_equal(ops.equalize(few), few)
    flat = np.full((30, 30, 3), 77, np.uint8)
    np.testing.assert_array_equal(ops.equalize(flat), flat)


@IMAGES
def test_autocontrast_stretches_each_channel(image):
    result = ops.autocontrast(image)
    for channel in range(3):
        plane = image[..., channel].astype(int)
        low, high = plane.min(), plane.max()
        expected = (plane - low) * 255 // (high - low)
        np.testing.assert_array_equal(result[..., channel], expected)
    # Pillow computes with doubles, so a level may fall just below its integer.
    by_pillow = np.asarray(ImageOps.autocontrast(pil(image)))
    assert np.abs(result.astype(int) - by_pillow).max() <= 1
    assert (result == by_pillow).mean() > 0.9


def test_autocontrast_leaves_a_channel_of_one_level_alone():
    image = IMAGE.copy()
    image[..., 1] = 9
    result = ops.autocontrast(image)
    assert (result[..., 1] == 9).all()
    assert (result[..., 0].min(), result[..., 0].max()) == (0, 255)


@IMAGES
def test_invert_posterize_and_solarize_are_pillows(image):
    np.testing.assert_array_equal(ops.invert(image), ImageOps.invert(pil(image)))
    for bits in range(1, 9):
        np.testing.assert_array_equal(
            ops.posterize(image, bits), ImageOps.posterize(pil(image), bits)
        )
    for threshold in (0, 1, 128, 255, 256):
        np.testing.assert_array_equal(
            ops.solarize(image, threshold), ImageOps.solarize(pil(image), threshold)
        )


@IMAGES
def test_solarize_add_adds_to_the_dark_levels_only(image):
    added = np.asarray(ImageChops.add(pil(image), pil(np.full_like(image, 110))))
    np.testing.assert_array_equal(
        ops.solarize_add(image, 110), np.where(image < 128, added, image)
    )
    low = np.full((2, 2, 3), 100, np.uint8)
    assert (ops.solarize_add(low, 200) == 255).all()


# --- blends -------------------------------------------------------------------------


@IMAGES
@pytest.mark.parametrize("tenths", [1, 5, 10, 19])
def test_brightness_blends_with_black(image, tenths):
    result = ops.brightness(image, tenths / 10)
    np.testing.assert_array_equal(result, blended(np.zeros_like(image), image, tenths))
    by_pillow = ImageEnhance.Brightness(pil(image)).enhance(tenths / 10)
    assert np.abs(result.astype(int) - np.asarray(by_pillow)).max() <= 1


@pytest.mark.parametrize(
    ("shape", "grey"), [((224, 224), 196), ((32, 32), 4), ((300, 300), 255)]
)
def test_contrast_blends_with_the_number_of_pixels_over_256(shape, grey):
    image = picture(*shape)
    start = np.full_like(image, grey)
    np.testing.assert_array_equal(ops.contrast(image, 1.9), blended(start, image, 19))
    np.testing.assert_array_equal(ops.contrast(image, 0.0), start)


@IMAGES
def test_color_blends_with_the_grey_image(image):
    grey = np.repeat(ops.grayscale(image)[..., None], 3, axis=2)
    np.testing.assert_array_equal(ops.color(image, 1.9), blended(grey, image, 19))
    np.testing.assert_array_equal(ops.color(image, 0.0), grey)
    by_pillow = np.asarray(ImageEnhance.Color(pil(image)).enhance(1.9))
    assert np.abs(ops.color(image, 1.9).astype(int) - by_pillow).max() <= 2


@IMAGES
def test_grey_is_the_luma_of_tensorflow(image):
    red, green, blue = np.moveaxis(image.astype(np.float64), -1, 0)
    luma = (0.2989 * red + 0.5870 * green + 0.1140 * blue) * 255.5 / 255
    clear = np.abs(luma - np.rint(luma)) > 1e-3  # not left to float32
    np.testing.assert_array_equal(ops.grayscale(image)[clear], np.floor(luma)[clear])
    by_pillow = np.asarray(pil(image).convert("L")).astype(int)
    assert np.abs(ops.grayscale(image) - by_pillow).max() <= 1
    white = np.full((1, 1, 3), 255, np.uint8)
    assert ops.grayscale(white)[0, 0] == 255


@IMAGES
def test_sharpness_blends_with_the_mean_of_neighbours(image):
    smooth = image.copy()
    height, width, _ = image.shape
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            around = image[y - 1 : y + 2, x - 1 : x + 2].astype(int)
            smooth[y, x] = (around.sum((0, 1)) + 4 * image[y, x].astype(int)) // 13
    np.testing.assert_array_equal(ops.sharpness(image, 0.0), smooth)
    np.testing.assert_array_equal(ops.sharpness(image, 1.9), blended(smooth, image, 19))
    by_pillow = np.asarray(ImageEnhance.Sharpness(pil(image)).enhance(1.9))
    assert np.abs(ops.sharpness(image, 1.9).astype(int) - by_pillow).max() <= 2


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (9, 2)])
def test_sharpness_of_an_image_that_is_all_border_changes_nothing(shape):
    image = NOISE[: shape[0], : shape[1]]
    np.testing.assert_array_equal(ops.sharpness(image, 1.9), image)


@pytest.mark.parametrize("blend", [ops.brightness, ops.contrast, ops.color])
def test_a_factor_of_1_changes_nothing(blend):
    np.testing.assert_array_equal(blend(IMAGE, 1.0), IMAGE)
    np.testing.assert_array_equal(ops.sharpness(IMAGE, 1.0), IMAGE)


# --- geometry -----------------------------------------------------------------------


def moved(image: np.ndarray, where) -> np.ndarray:
    """Pixel (x, y) is the one nearest to where(x, y), 128 outside."""
    result = np.full_like(image, 128)
    height, width, _ = image.shape
    for y in range(height):
        for x in range(width):
            column, row = (
                int(math.copysign(math.floor(abs(value) + 0.5), value))
                for value in where(x, y)
            )
            if 0 <= row < height and 0 <= column < width:
                result[y, x] = image[row, column]
    return result


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("height", [23, 24])
def test_shears_keep_the_first_row_and_column(sign, height):
    image = picture(height, 31)
    slope = sign * 0.3
    np.testing.assert_array_equal(
        apply("ShearX", image, sign), moved(image, lambda x, y: (x + slope * y, y))
    )
    np.testing.assert_array_equal(
        apply("ShearY", image, sign), moved(image, lambda x, y: (x, y + slope * x))
    )
    np.testing.assert_array_equal(apply("ShearX", image, sign)[0], image[0])
    np.testing.assert_array_equal(apply("ShearY", image, sign)[:, 0], image[:, 0])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("shape", [(24, 31), (40, 40), (1, 1)])
def test_rotation_is_about_the_centre(sign, shape):
    # The sine of 30 degrees is 1/2: an odd height would put its middle row on ties.
    image = picture(*shape)
    height, width = shape
    turn = complex(math.cos(math.pi / 6), sign * math.sin(math.pi / 6))
    middle = complex((width - 1) / 2, (height - 1) / 2)

    def where(x: int, y: int) -> tuple[float, float]:
        point = (complex(x, y) - middle) * turn + middle
        return point.real, point.imag

    np.testing.assert_array_equal(apply("Rotate", image, sign), moved(image, where))


@pytest.mark.parametrize("sign", [1, -1])
def test_geometry_is_pillows_but_for_ties(sign):
    """Pillow counts from the pixels' corners, hence the offset of the shears."""
    grey = (128, 128, 128)
    slope = sign * 0.3
    nearest = {"resample": Image.Resampling.NEAREST, "fillcolor": grey}
    expected = {
        "Rotate": pil(LARGE).rotate(sign * 30, fillcolor=grey),
        "ShearX": pil(LARGE).transform(
            (224, 224),
            Image.Transform.AFFINE,
            (1, slope, -slope / 2, 0, 1, 0),
            **nearest,
        ),
        "ShearY": pil(LARGE).transform(
            (224, 224),
            Image.Transform.AFFINE,
            (1, 0, 0, slope, 1, -slope / 2),
            **nearest,
        ),
    }
    for name, by_pillow in expected.items():
        same = (apply(name, LARGE, sign) == np.asarray(by_pillow)).all(-1)
        # A tenth of the shears' rows (or columns) lie halfway between two pixels.
        assert same.mean() > (0.999 if name == "Rotate" else 0.85), name


def test_quarter_turns_move_whole_pixels():
    square = picture(16, 16)
    np.testing.assert_array_equal(ops.rotate(square, 90), np.rot90(square))
    np.testing.assert_array_equal(ops.rotate(square, -90), np.rot90(square, -1))
    np.testing.assert_array_equal(ops.rotate(square, 0), square)


@pytest.mark.parametrize("pixels", [0, 1, -1, 7, -7, 22, 23, 24, -23, -100])
def test_translations_fill_what_they_uncover(pixels):
    np.testing.assert_array_equal(
        ops.translate_x(IMAGE, pixels), moved(IMAGE, lambda x, y: (x + pixels, y))
    )
    np.testing.assert_array_equal(
        ops.translate_y(IMAGE, pixels), moved(IMAGE, lambda x, y: (x, y + pixels))
    )


@pytest.mark.parametrize(("row", "column"), [(12, 15), (0, 0), (22, 30), (3, 29)])
@pytest.mark.parametrize("half_size", [0, 1, 6, 100])
def test_cutout_fills_a_square_cut_at_the_border(row, column, half_size):
    result = ops.cutout(IMAGE, row, column, half_size)
    for y in range(23):
        for x in range(31):
            inside = -half_size <= y - row < half_size
            inside &= -half_size <= x - column < half_size
            assert (result[y, x] == (128 if inside else IMAGE[y, x])).all()
