"""Muon: orthogonalised momentum for matrices, AdamW for the rest (Jordan et al., 2024).

Kernels of convolutions and of attention are matrices from all that they sum over to all
that they put out. Embeddings, biases and scales get AdamW.
"""

import jax
from optax import contrib

from algoperf.optax_submission import optax_submission
from algoperf.schedules import warmup_cosine


def optimizer(hyperparameters, step_hint):
    momentum = 1.0 - hyperparameters.one_minus_beta1
    return contrib.muon(
        warmup_cosine(hyperparameters, step_hint),
        beta=momentum,
        weight_decay=hyperparameters.weight_decay,
        adam_b1=momentum,
        adam_b2=hyperparameters.beta2,
        adam_weight_decay=hyperparameters.weight_decay,
        muon_weight_dimension_numbers=matrices,
        consistent_rms=0.2,  # updates as large as AdamW's: one learning rate for both
    )


def matrices(params):
    """Which axes of each parameter are a matrix's rows and columns; None for AdamW."""
    return jax.tree_util.tree_map_with_path(_matrix, params)


def _matrix(path, leaf):
    names = [str(key.key).lower() for key in path]
    if leaf.ndim < 2 or any("embed" in name for name in names):
        return None
    axes = tuple(range(leaf.ndim))
    # Attention splits what it puts out into heads, and what its last layer sums over.
    splits_output = leaf.ndim == 3 and "out" not in names
    summed = 1 if splits_output else leaf.ndim - 1
    return contrib.MuonDimensionNumbers(axes[:summed], axes[summed:])


get_batch_size, init_optimizer_state, update_params = optax_submission(optimizer)
