"""Images a second from JPEG to the uint8 image of a batch, against Pillow.

Images are synthetic, 500 x 375 pixels and about as many bytes as ImageNet's. Pillow
decodes, crops the same boxes, and resizes with its own filter (which smooths where it
shrinks), in turns with ours. One thread and two; then microseconds for each stage, and
the memory that whole batches take.

  python benchmarks/image_pipeline.py
"""

import io
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
from PIL import Image

from algoperf.read_ahead import Plan, ReadAhead
from workloads.imagenet import jpeg
from workloads.imagenet.crops import (
    IMAGENET_CROPS,
    Box,
    eval_box,
    pad_crop_flip,
    training_box,
)
from workloads.imagenet.images import IMAGE_SIZE, eval_image, train_image
from workloads.imagenet.randaugment import (
    NUM_DRAWS,
    OPERATIONS,
    Choice,
    randaugment,
)
from workloads.imagenet.random_draws import epoch_draws, example_draws
from workloads.imagenet.resize import resize_to_uint8

HEIGHT, WIDTH, QUALITY = 375, 500, 93
FILES, ROUNDS = 16, 15
IMAGES_PER_ROUND = 64
BATCH = 16

Work = Callable[[int], object]


def synthetic_jpeg(seed: int) -> bytes:
    """Blobs from coarse to fine, alike in the three colours, and a little noise."""
    rng = np.random.default_rng(seed)
    pixels = np.full((HEIGHT, WIDTH, 3), 120.0)
    for cells, strength in ((4, 60), (16, 40), (64, 25), (200, 14)):
        shape = (cells * HEIGHT // WIDTH, cells)
        grey = enlarged(rng.standard_normal(shape))
        for channel in range(3):
            tint = enlarged(rng.standard_normal(shape))
            pixels[..., channel] += strength * (grey + 0.35 * tint)
    pixels += rng.normal(0, 7, (HEIGHT, WIDTH, 1))
    stream = io.BytesIO()
    levels = pixels.clip(0, 255).astype(np.uint8)
    Image.fromarray(levels).save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def enlarged(cells: np.ndarray) -> np.ndarray:
    image = Image.fromarray(cells.astype(np.float32))
    return np.asarray(image.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


def by_pillow(data: bytes, box: Box) -> np.ndarray:
    """Decodes, crops and resizes, as a loader over Pillow does."""
    right, bottom = box.left + box.width, box.top + box.height
    with Image.open(io.BytesIO(data)) as image:
        resized = image.convert("RGB").resize(
            (IMAGE_SIZE, IMAGE_SIZE),
            Image.Resampling.BICUBIC,
            box=(box.left, box.top, right, bottom),
        )
    return np.asarray(resized)


def seconds(work: Work, threads: int) -> float:
    """Seconds an image, over one round."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))  # starts the threads
        start = time.perf_counter()
        list(pool.map(work, range(IMAGES_PER_ROUND)))
        return (time.perf_counter() - start) / IMAGES_PER_ROUND


def compare(title: str, ours: Work, pillows: Work, threads: int) -> None:
    """Times the two in turns; prints images a second and the median ratio."""
    pairs = []
    for i in range(ROUNDS):
        order = (ours, pillows) if i % 2 else (pillows, ours)
        times = {work: seconds(work, threads) for work in order}
        pairs.append((times[ours], times[pillows]))
    ours_s = statistics.median(a for a, _ in pairs)
    pillow_s = statistics.median(b for _, b in pairs)
    ratio = statistics.median(b / a for a, b in pairs)
    print(
        f"{title:<16} {threads} thread{'s' * (threads > 1):<1} {1 / ours_s:7.0f} "
        f"images/s (best {1 / min(a for a, _ in pairs):5.0f}), Pillow "
        f"{1 / pillow_s:7.0f}, ratio {ratio:.2f}"
    )


def microseconds(work: Work) -> float:
    """Of one call, the median of rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for i in range(IMAGES_PER_ROUND):
            work(i)
        times.append((time.perf_counter() - start) / IMAGES_PER_ROUND)
    return statistics.median(times) * 1e6


def cropped(pixels: np.ndarray, box: Box) -> np.ndarray:
    rows = slice(box.top, box.top + box.height)
    return pixels[rows, box.left : box.left + box.width]


def print_stages(files: Sequence[bytes], boxes: Sequence[Box]) -> None:
    """The parts of a training image, and RandAugment's operations."""
    pixels = jpeg.decode(files[0], "synthetic")
    images = [eval_image(file, "synthetic") for file in files]
    num_draws = IMAGENET_CROPS.num_draws
    draws = [example_draws(0, 0, i, num_draws) for i in range(IMAGES_PER_ROUND)]
    layers = [example_draws(0, 1, i, NUM_DRAWS) for i in range(IMAGES_PER_ROUND)]
    cifar = np.zeros((128, 32, 32, 3), np.uint8)
    stages: dict[str, Work] = {
        "draws": lambda i: example_draws(0, 0, i, num_draws),
        "box": lambda i: training_box(HEIGHT, WIDTH, draws[i]),
        "decode all": lambda i: jpeg.decode(files[i % FILES], "synthetic"),
        "decode down to the crop": lambda i: jpeg.decode_top(
            files[i % FILES], "synthetic", boxes[i].top + boxes[i].height
        ),
        "resize a random crop": lambda i: resize_to_uint8(
            cropped(pixels, boxes[i]), IMAGE_SIZE
        ),
        "RandAugment": lambda i: randaugment(images[i % FILES], layers[i]),
        "CIFAR, batch of 128": lambda i: pad_crop_flip(cifar, epoch_draws(0, i, 128)),
    }
    for name, work in stages.items():
        print(f"{name:<24} {microseconds(work):7.1f} us")
    for name, operation in OPERATIONS.items():
        choice = [Choice(sign, 100, 120) for sign in (1, -1)]
        time_us = microseconds(
            lambda i, op=operation, c=choice: op(images[i % FILES], c[i % 2])
        )
        print(f"  {name:<22} {time_us:7.1f} us")


def print_memory(files: Sequence[bytes]) -> None:
    """What a thousand batches, decoded ahead by two threads, leave in memory."""

    def plan(index: int) -> Plan:
        images = np.empty((BATCH, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)

        def fill(row: int) -> None:
            number = index * BATCH + row
            images[row] = train_image(
                files[number % FILES], "synthetic", seed=0, epoch=0, example=number
            )

        return Plan({"inputs": images}, BATCH, fill)

    process = psutil.Process()
    batches = ReadAhead(plan, threads=2)
    begun = time.perf_counter()
    after = {}
    for number in range(1, 1_001):
        next(batches)
        if number in (100, 1_000):
            after[number] = process.memory_info().rss / 1e6
    rate = 1_000 * BATCH / (time.perf_counter() - begun)
    print(
        f"1,000 batches of {BATCH}, two threads: {rate:.0f} images/s; memory "
        f"{after[100]:.0f} MB after 100 batches, {after[1_000]:.0f} MB after 1,000"
    )


def main() -> None:
    files = [synthetic_jpeg(seed) for seed in range(FILES)]
    size_kb = statistics.mean(map(len, files)) / 1000
    print(f"{FILES} files of {WIDTH} x {HEIGHT} pixels and {size_kb:.0f} kB")
    boxes = [
        training_box(HEIGHT, WIDTH, example_draws(0, 0, i, IMAGENET_CROPS.num_draws))
        for i in range(IMAGES_PER_ROUND)
    ]
    centre = eval_box(HEIGHT, WIDTH)

    def train(i: int, vit: bool = False) -> np.ndarray:
        return train_image(
            files[i % FILES],
            "synthetic",
            seed=0,
            epoch=0,
            example=i,
            with_randaugment=vit,
        )

    for threads in (1, 2):
        compare(
            "ResNet train",
            train,
            lambda i: by_pillow(files[i % FILES], boxes[i]),
            threads,
        )
        compare(
            "ViT train",
            lambda i: train(i, vit=True),
            lambda i: by_pillow(files[i % FILES], boxes[i]),
            threads,
        )
        compare(
            "evaluation",
            lambda i: eval_image(files[i % FILES], "synthetic"),
            lambda i: by_pillow(files[i % FILES], centre),
            threads,
        )
    print_stages(files, boxes)
    print_memory(files)


if __name__ == "__main__":
    main()
