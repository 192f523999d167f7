"""Update rules that optax lacks or defines differently, as optax pieces."""

from algoperf.optimizers.adafactor import adafactor
from algoperf.optimizers.averaging import (
    EmaState,
    LawaState,
    ema_params,
    lawa_params,
    with_ema,
    with_lawa,
)
from algoperf.optimizers.cautious import cautious
from algoperf.optimizers.frugal import frugal, scale_by_frugal, vectors_and_ends
from algoperf.optimizers.nadam import (
    NadamState,
    baseline_nadamw,
    nadamw,
    scale_by_nadam,
)
from algoperf.optimizers.per_leaf import PerLeafState
from algoperf.optimizers.shampoo import ShampooOptions, scale_by_shampoo, shampoo
from algoperf.optimizers.soap import scale_by_soap, soap
from algoperf.optimizers.state_bytes import state_bytes, state_bytes_per_parameter
from algoperf.schedules import warmup_cosine, warmup_linear

__all__ = [
    "EmaState",
    "LawaState",
    "NadamState",
    "PerLeafState",
    "ShampooOptions",
    "adafactor",
    "baseline_nadamw",
    "cautious",
    "ema_params",
    "frugal",
    "lawa_params",
    "nadamw",
    "scale_by_frugal",
    "scale_by_nadam",
    "scale_by_shampoo",
    "scale_by_soap",
    "shampoo",
    "soap",
    "state_bytes",
    "state_bytes_per_parameter",
    "vectors_and_ends",
    "warmup_cosine",
    "warmup_linear",
    "with_ema",
    "with_lawa",
]
