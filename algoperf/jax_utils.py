"""The import path of AlgoPerf's `Dropout`."""

from algoperf.layers import Dropout

__all__ = ["Dropout"]
