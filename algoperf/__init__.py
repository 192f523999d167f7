"""A benchmark harness for neural network training algorithms, in JAX."""

__version__ = "0.1.0"
