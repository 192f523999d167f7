"""Image files are decoded as Pillow does it, and damaged ones are named."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image

from algoperf.facts import UserError
from workloads.imagenet.jpeg import CorruptImage, decode, decode_top, size

HEIGHT, WIDTH = 101, 83  # neither is a multiple of a block


def picture(channels: int = 3) -> np.ndarray:
    """Waves and noise: every block of the file is busy."""
    rng = np.random.default_rng(channels)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    phases = np.arange(channels)
    waves = np.sin(y[..., None] / 7 + phases) + np.cos(x[..., None] / 5 - phases)
    noisy = 128 + 45 * waves + rng.normal(0, 20, (HEIGHT, WIDTH, channels))
    return noisy.clip(0, 255).astype(np.uint8)


def encoded(mode: str = "RGB", kind: str = "JPEG", **options) -> bytes:
    channels = len(Image.new(mode, (1, 1)).getbands())
    image = Image.frombytes(mode, (WIDTH, HEIGHT), picture(channels).tobytes())
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def by_pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image.convert("RGB"))


FILES = {
    "4:4:4": encoded(subsampling=0, quality=95),
    "4:2:2": encoded(subsampling=1),
    "4:2:0": encoded(subsampling=2),
    "progressive": encoded(progressive=True),
    "restart markers": encoded(subsampling=2, restart_marker_rows=1),
    "grey": encoded("L"),
    "CMYK": encoded("CMYK"),
    "stored RGB": encoded(keep_rgb=True),
    "PNG": encoded(kind="PNG"),
    "grey PNG": encoded("L", kind="PNG"),
    "PNG with alpha": encoded("RGBA", kind="PNG"),
    "with a comment": encoded(comment=b"\xff\xc0\xff\xd9 not a frame"),
}


@pytest.mark.parametrize("kind", FILES)
def test_pixels_and_size_are_those_of_pillow(kind):
    pixels = decode(FILES[kind], kind)
    assert pixels.dtype == np.uint8
    assert size(FILES[kind], kind) == pixels.shape[:2] == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(pixels, by_pillow(FILES[kind]))


@pytest.mark.parametrize("kind", FILES)
def test_decoding_the_top_equals_decoding_everything_and_cutting(kind):
    whole = decode(FILES[kind], kind)
    for rows in range(1, HEIGHT + 1):
        top = decode_top(FILES[kind], kind, rows)
        np.testing.assert_array_equal(top, whole[:rows], err_msg=f"{rows} rows")


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("missing", [1, 2, 12, 200, 1000])
def test_a_file_cut_short_raises_whatever_is_needed_of_it(kind, missing):
    cut = FILES[kind][:-missing]
    with pytest.raises(CorruptImage, match=r"^n01440764_1\.JPEG is not a complete"):
        decode(cut, "n01440764_1.JPEG")
    with pytest.raises(CorruptImage, match="is not a complete"):
        decode_top(cut, "n01440764_1.JPEG", 10)


def test_a_file_with_bytes_after_its_end_is_complete():
    data = FILES["4:2:0"]
    np.testing.assert_array_equal(decode(data + b"\0\0", "it"), by_pillow(data))
    np.testing.assert_array_equal(
        decode_top(data + b"\0\0", "it", 20), by_pillow(data)[:20]
    )


@pytest.mark.parametrize("kind", ["4:2:0", "CMYK", "PNG"])
def test_a_hole_in_the_pixels_raises(kind):
    data = FILES[kind]
    middle = len(data) // 2
    holed = data[:middle] + data[middle + 300 :]
    with pytest.raises(CorruptImage, match=r"^it is not a complete"):
        decode(holed, "it")


@pytest.mark.parametrize("kind", ["4:4:4", "4:2:0", "grey", "restart markers"])
def test_rows_below_the_top_are_not_decoded(kind):
    """So damage to them is not noticed: the price of saving their time."""
    data = FILES[kind]
    late = len(data) * 3 // 4
    holed = data[:late] + data[late + 200 :]
    with pytest.raises(CorruptImage):
        decode(holed, "it")
    np.testing.assert_array_equal(decode_top(holed, "it", 30), by_pillow(data)[:30])


@pytest.mark.parametrize("kind", ["4:4:4", "4:2:0", "grey"])
def test_rows_of_the_top_that_run_out_of_data_raise(kind):
    """A file cut short to which somebody gave an end."""
    data = FILES[kind]
    ended = data[: len(data) // 2] + b"\xff\xd9"
    np.testing.assert_array_equal(decode_top(ended, "it", 20), by_pillow(data)[:20])
    with pytest.raises(CorruptImage, match="premature end of data segment"):
        decode_top(ended, "it", 90)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"GIF89a", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_raises(data):
    for read in (decode, size, lambda *its: decode_top(*its, rows=1)):
        with pytest.raises(CorruptImage, match="it is not a complete JPEG or PNG"):
            read(data, "it")


def test_the_error_names_file_reason_and_remedy_and_travels_between_processes():
    error = pickle.loads(pickle.dumps(CorruptImage("a.JPEG", "it ends early")))
    assert (error.name, error.reason) == ("a.JPEG", "it ends early")
    assert isinstance(error, UserError)
    assert str(error) == (
        "a.JPEG is not a complete JPEG or PNG image: it ends early; fetch the file "
        "again and prepare the data set again"
    )


# Bytes left over.


@pytest.mark.parametrize("padding", [b"\0" * 5, b"\xff" * 3, b"\0" * 300])
def test_padding_before_the_end_is_no_damage(padding):
    data = FILES["4:2:0"]
    padded = data[:-2] + padding + data[-2:]
    np.testing.assert_array_equal(decode(padded, "padded"), decode(data, "plain"))


@pytest.mark.parametrize("left_over", [b"abc", b"\0\0\1"])
def test_other_bytes_before_the_end_are_damage(left_over):
    data = FILES["4:2:0"]
    with pytest.raises(CorruptImage, match=r"\d extraneous bytes before marker"):
        decode(data[:-2] + left_over + data[-2:], "x.jpg")
