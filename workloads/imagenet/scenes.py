"""Generated images that have to be looked at: what the mini image workloads train on.

Each shows one large object on a busy background, with smaller ones around it. Its class
is its shape and its texture together: neither is enough, and its place, size, angle and
background say nothing. Nor does colour, unless objects are `bright`. Images that are
mirrored or moved keep their class.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from algoperf.facts import Split
from workloads.raw_draws import RawDraws

SHAPES = ("disk", "square", "triangle", "cross", "ring")
TEXTURES = ("plain", "stripes", "checks", "dots")
SIDE = 32  # pixels

_CHUNK = 100  # images drawn at once: what a processor's cache holds
_NOISE = 12.0  # standard deviation of a pixel, of 255
_FARTHEST = 1.25  # a corner from its object's place, in radii
_STREAMS: Mapping[Split, int] = {"train": 0, "validation": 1, "test": 2}

Field = np.ndarray  # float32 [images, height, width]


class Scene(NamedTuple):
    """What images may show: how hard they are.

    Attributes:
      textures: those that occur; with each shape they make a class.
      turn: the largest angle in radians that an object and a texture are turned by.
      spread: the farthest that an object is from the centre, of the image's side.
      clutter: how many small objects are around it.
      bright: whether objects are always brighter than what is behind them, and the
        one colour of a texture than the other.
    """

    textures: Sequence[str] = TEXTURES
    turn: float = np.pi
    spread: float = 0.15
    clutter: int = 2
    bright: bool = False

    @property
    def num_classes(self) -> int:
        return len(SHAPES) * len(self.textures)


def scenes(
    examples: Mapping[Split, int], seed: int, scene: Scene
) -> dict[str, dict[str, np.ndarray]]:
    """Images uint8 [n, 32, 32, 3] and classes int32 [n] per split, read-only."""
    return {
        split: dict(_split(examples[split], (seed, stream), scene))
        for split, stream in _STREAMS.items()
    }


# Workloads share their images: the variants have those of their base.
@functools.lru_cache(maxsize=9)
def _split(count: int, key: tuple[int, int], scene: Scene) -> dict[str, np.ndarray]:
    bits = np.random.Philox(key=key)
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    classes = np.empty(count, np.int32)
    for start in range(0, count, _CHUNK):
        part = slice(start, min(start + _CHUNK, count))
        draw = RawDraws(bits)
        images[part], classes[part] = _draw(draw, part.stop - start, scene)
    for array in (images, classes):
        array.flags.writeable = False
    return {"inputs": images, "targets": classes}


def _draw(draw: RawDraws, count: int, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    canvas = _background(draw, count, 0.5 if scene.bright else 1.0)
    for _ in range(scene.clutter):
        _put(canvas, draw, scene, (0.08, 0.15), draw(0.0, 1.0, 2, count))
    place = 0.5 + draw(-scene.spread, scene.spread, 2, count)
    shape, texture = _put(canvas, draw, scene, (0.28, 0.42), place)
    pixels = np.clip(canvas * 255 + _NOISE * draw.normal(*canvas.shape), 0, 255)
    return np.rint(pixels).astype(np.uint8), shape * len(scene.textures) + texture


def _background(draw: RawDraws, count: int, brightest: float) -> np.ndarray:
    """Two colours that slow waves blend: float32 [count, 32, 32, 3] from 0."""
    centres = (np.arange(SIDE, dtype=np.float32) + np.float32(0.5)) / SIDE
    y, x = centres[None, :, None], centres[None, None, :]
    blend = np.zeros((count, SIDE, SIDE), np.float32)
    for _ in range(3):
        fx, fy, phase = (each[:, None, None] for each in draw(-2.0, 2.0, 3, count))
        blend += np.sin(2 * np.pi * (fx * x + fy * y) + 3 * phase)
    blend = (0.5 + blend / 6)[..., None]
    first, second = draw(0.0, brightest, 2, count, 1, 1, 3)
    return blend * first + (1 - blend) * second


def _put(
    canvas: np.ndarray,
    draw: RawDraws,
    scene: Scene,
    radii: tuple[float, float],
    place: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws an object into every image; returns their shapes and textures [count]."""
    count = len(canvas)
    functions = [_TEXTURE[name] for name in scene.textures]
    shape, texture = draw.choice(len(SHAPES), count), draw.choice(len(functions), count)
    radius = draw(*radii, count)[:, None, None]
    window = _window(place, _FARTHEST * radii[1])
    u, v = _turned(window, place, draw(-scene.turn, scene.turn, count))
    # Distance to the edge in pixels, inside above 0: edges are one pixel soft.
    depth = _by_kind(shape, [_SHAPE[name] for name in SHAPES], u / radius, v / radius)
    cover = np.clip(0.5 + depth * radius * SIDE, 0, 1)[..., None]
    waves = draw(2.2, 3.0, count)[:, None, None] / (2 * radius)
    s, t = _turned(window, place, draw(-scene.turn, scene.turn, count))
    pattern = _by_kind(texture, functions, s * waves, t * waves)
    light, dark = draw(0.0, 1.0, 2, count, 1, 1, 3)
    if scene.bright:
        light, dark = 0.6 + 0.4 * light, 0.35 * dark
    else:  # the two have to be told apart
        dark = np.where(np.abs(light - dark) < 0.35, (light + 0.5) % 1.0, dark)
    colour = np.where(pattern[..., None] > 0, light, dark)
    pixels = np.arange(count)[:, None, None], *window
    behind = canvas[pixels]
    canvas[pixels] = behind + cover * (colour - behind)
    return shape, texture


def _window(place: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows [count, n, 1] and columns [count, 1, n] that hold objects so large."""
    side = min(SIDE, int(2 * radius * SIDE) + 3)
    first = np.clip(np.floor(place * SIDE - side / 2), 0, SIDE - side).astype(int)
    rows, columns = (corner[:, None] + np.arange(side) for corner in first)
    return rows[:, :, None], columns[:, None, :]


def _turned(
    window: tuple[np.ndarray, np.ndarray], place: np.ndarray, angle: np.ndarray
) -> tuple[Field, Field]:
    """Coordinates about each image's place [2, count], turned by its angle [count].

    Of the pixels' centres, in a canvas of side 1.
    """
    y, x = (
        (pixels.astype(np.float32) + np.float32(0.5)) / SIDE - centre[:, None, None]
        for pixels, centre in zip(window, place, strict=True)
    )
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    return cos * x + sin * y, cos * y - sin * x


def _by_kind(
    kinds: np.ndarray,
    functions: list[Callable[[Field, Field], Field]],
    u: Field,
    v: Field,
) -> Field:
    """Each image's own function of its coordinates."""
    values = np.empty(u.shape, np.float32)
    for kind, function in enumerate(functions):
        rows = kinds == kind
        values[rows] = function(u[rows], v[rows])
    return values


def _cross(u: Field, v: Field) -> Field:
    arms = 0.36 - np.minimum(np.abs(u), np.abs(v))
    return np.minimum(arms, 1 - np.maximum(np.abs(u), np.abs(v)))


def _checks(s: Field, t: Field) -> Field:
    return np.sin(2 * np.pi * s) * np.sin(2 * np.pi * t)


def _dots(s: Field, t: Field) -> Field:
    return 0.1 - (s % 1 - 0.5) ** 2 - (t % 1 - 0.5) ** 2


# Distance inside the edge of a shape of radius 1, about; below 0 outside.
_SHAPE: Mapping[str, Callable[[Field, Field], Field]] = {
    "disk": lambda u, v: 1 - np.hypot(u, v),
    "square": lambda u, v: 0.87 - np.maximum(np.abs(u), np.abs(v)),
    "triangle": lambda u, v: np.minimum(v + 0.6, (1.2 - v) / 2 - 0.866 * np.abs(u)),
    "cross": _cross,
    "ring": lambda u, v: 0.24 - np.abs(np.hypot(u, v) - 0.76),
}
# Light where above 0; one period of a texture has length 1.
_TEXTURE: Mapping[str, Callable[[Field, Field], Field]] = {
    "plain": lambda s, t: np.ones_like(s),
    "stripes": lambda s, t: np.sin(2 * np.pi * s),
    "checks": _checks,
    "dots": _dots,
}
