"""From measured k-space to the normalised image that the model gets, on the device."""

import jax
import jax.numpy as jnp

from algoperf.facts import UserError
from algoperf.spec import Batch

_LARGEST = 6.0  # normalised pixels are cut off here


def prepare_slices(batch: Batch) -> Batch:
    """Undersamples, reconstructs and normalises the slices of a batch; jittable.

    Args:
      batch: `kspace` complex [batch, row, column], `keep` bool [batch, column],
        `targets` [batch, size, size], `volume_max` [batch], and whatever else, which
        is passed on. Slices of different widths are filled up with columns at the
        right, and then `num_columns` int [batch] says how many are a slice's own.

    Returns:
      `inputs` and `targets` float32 [batch, size, size], both normalised by `mean`
      and `std` [batch] of the input's pixels and cut off at 6. The `std` of an image
      of one value is 1, so that nothing is divided by 0.

    Raises:
      UserError: k-space has fewer rows or columns than the target.
    """
    rest = dict(batch)
    kspace, keep = rest.pop("kspace"), rest.pop("keep")
    num_columns, targets = rest.pop("num_columns", None), rest.pop("targets")
    masked = jnp.where(keep[:, None, :], kspace, 0)
    image = reconstruct(masked, targets.shape[-1], num_columns)
    mean = jnp.mean(image, axis=(1, 2))
    std = jnp.std(image, axis=(1, 2))
    std = jnp.where(std > 0, std, 1.0)

    def normalise(pixels: jax.Array) -> jax.Array:
        pixels = (pixels - mean[:, None, None]) / std[:, None, None]
        return jnp.clip(pixels, -_LARGEST, _LARGEST)

    return rest | {
        "inputs": normalise(image),
        "targets": normalise(targets),
        "mean": mean,
        "std": std,
    }


def reconstruct(
    kspace: jax.Array, size: int, num_columns: jax.Array | None = None
) -> jax.Array:
    """Magnitudes [batch, size, size] of the middle of the inverse Fourier transform.

    The transform is orthonormal, and the middle of k-space has frequency 0. Columns
    from `num_columns` [batch] on are no part of a slice, and must be 0.
    """
    rows, columns = kspace.shape[1:]
    if min(rows, columns) < size:
        raise UserError(
            f"k-space has {rows} rows and {columns} columns; to be cropped to {size}x"
            f"{size} pixels it needs {size} or more of each. Check the files."
        )
    # Rows that are cropped need no second transform.
    lines = _crop(_centred_inverse(kspace, axis=1), size, axis=1)
    if num_columns is None:
        return jnp.abs(_crop(_centred_inverse(lines, axis=2), size, axis=2))
    basis = _inverse_basis(num_columns, columns, size)
    # Highest: tensor cores would round float32 to 10 bits.
    image = jnp.einsum("brk,bkc->brc", lines, basis, precision="highest")
    return jnp.abs(image)


def _centred_inverse(kspace: jax.Array, axis: int) -> jax.Array:
    shifted = jnp.fft.ifftshift(kspace, axes=axis)
    return jnp.fft.fftshift(jnp.fft.ifft(shifted, axis=axis, norm="ortho"), axes=axis)


def _crop(image: jax.Array, size: int, axis: int) -> jax.Array:
    start = (image.shape[axis] - size) // 2
    return jax.lax.slice_in_dim(image, start, start + size, axis=axis)


def _inverse_basis(num_columns: jax.Array, columns: int, size: int) -> jax.Array:
    """Inverse Fourier transforms of each slice's own width, cropped in the middle.

    Complex [batch, column, pixel]. An FFT has one width for the whole batch, and a
    compilation for each; with this product one function serves every mix of widths.
    """
    # A padded row of the batch may say 0 columns.
    width = jnp.maximum(num_columns, 1)[:, None, None]
    frequency = jnp.arange(columns)[None, :, None] - width // 2
    pixel = jnp.arange(size)[None, None, :] + (width - size) // 2 - width // 2
    # Whole turns are taken off in integers, before float32 could lose the rest.
    turns = ((frequency * pixel) % width).astype(jnp.float32) / width
    angle = 2 * jnp.pi * turns
    scale = jax.lax.rsqrt(width.astype(jnp.float32))
    return jax.lax.complex(jnp.cos(angle) * scale, jnp.sin(angle) * scale)
