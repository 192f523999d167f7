"""How data is read. Standard library only."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class DataOptions:
    """How data is read; nothing here changes what a batch holds.

    Attributes:
      eval_cache_bytes: of decoded evaluation splits kept in memory; a split that does
        not fit is read again at every evaluation.
      strict: stop at a damaged example instead of replacing it.
      threads: that decode.
      random: draw batches of the right shapes instead of reading any.
    """

    eval_cache_bytes: int = 18 * 10**9
    strict: bool = False
    threads: int = os.cpu_count() or 1
    random: bool = False
