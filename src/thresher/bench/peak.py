"""How many multiply-adds a second this machine does at its best."""

import time
from collections.abc import Sequence

import torch

from thresher.bench.interleave import Clock


def multiply_add_peak(
    sizes: Sequence[int] = (512, 768, 1024, 2048), repeats: int = 15, clock: Clock = time.perf_counter
) -> float:
    """float32 multiply-adds per second of torch's dense size × size matrix product, the best of all sizes and repeats.

    With torch's present number of threads. What a machine's data sheet promises is more; this is what was got.
    Cost: repeats · Σ size³ multiply-adds, a second or two.
    """
    return max(_rate(size, clock) for size in sizes for _ in range(repeats))


def _rate(size: int, clock: Clock) -> float:
    left = torch.ones(size, size)
    out = torch.empty(size, size)
    start = clock()
    torch.mm(left, left, out=out)
    return float(size**3 / (clock() - start))
