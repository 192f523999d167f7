"""Loss and metrics of reconstructed images."""

from typing import Any

import jax
import jax.numpy as jnp

from algoperf.losses import masked
from algoperf.metrics import Measurement, Metrics, summed_ratios
from algoperf.spec import Batch, ForwardPassMode, Workload
from workloads.fastmri.ssim import structural_similarity


def mean_absolute_error(
    labels: jax.Array,
    outputs: jax.Array,
    mask: jax.Array | None = None,
    label_smoothing: Any = 0.0,
) -> dict[str, jax.Array]:
    """The mean over an image's pixels of |output - label|, per image.

    Args:
      labels, outputs: images [batch, height, width].
      mask: [batch], 1 for real images, 0 for padding.
      label_smoothing: ignored; pixels are no distributions.
    """
    del label_smoothing
    difference = outputs - labels
    if mask is not None:
        # Masking the loss alone would let NaN in padding into the gradient.
        difference = jnp.where(mask[:, None, None] > 0, difference, 0.0)
    return masked(jnp.mean(jnp.abs(difference), axis=(1, 2)), mask)


def measure_reconstruction(
    workload: Workload, params: Any, model_state: Any, batch: Batch, rng: jax.Array
) -> Measurement:
    """Similarity and loss over the images of a batch whose weight is not zero.

    `batch` has what `prepare_slices` returns, and `weights` [batch]. Similarity is
    that of the images before they were normalised; its range is the volume's largest
    pixel.
    """
    outputs, _ = workload.model_fn(
        params, batch, model_state, ForwardPassMode.EVAL, rng, update_batch_norm=False
    )
    weights = batch["weights"]
    mean, std = batch["mean"][:, None, None], batch["std"][:, None, None]
    similarity = structural_similarity(
        outputs * std + mean, batch["targets"] * std + mean, batch["volume_max"]
    )
    loss = workload.loss_fn(batch["targets"], outputs, weights)
    return {
        "ssim": (masked(similarity, weights)["summed"], weights.sum()),
        "loss": (loss["summed"], loss["n_valid_examples"]),
    }


RECONSTRUCTION = Metrics(measure_reconstruction, summed_ratios)
