"""Update rules that optax lacks or defines differently, as optax pieces."""

from algoperf.optimizers.nadam import NadamState, nadamw, scale_by_nadam
from algoperf.schedules import warmup_cosine, warmup_linear

__all__ = [
    "NadamState",
    "nadamw",
    "scale_by_nadam",
    "warmup_cosine",
    "warmup_linear",
]
