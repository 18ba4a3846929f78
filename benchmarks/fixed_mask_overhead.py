"""What holding a mask costs: a masked dense training step against the same step without a mask.

    python benchmarks/fixed_mask_overhead.py [--models lenet-300-100 resnet-20] [--threads 1 2] [--batch 128]
        [--turns 40] [--steps 10] [--sparsity 0.9] [--json FILE]

One process; the two networks take turns of `steps` steps, so that each finds its own data in the cache as in real
training, and swap who goes first. The first step of a turn is not counted. SGD with momentum 0.9, cross-entropy,
normal inputs; the step is zero_grad, forward, backward, optimizer step and `after_step`. Printed: the median step,
the median over turns of masked / unmasked with its quartiles, and the same for two unmasked networks ("none").
"""

import argparse
import json
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

import torch
from torch.nn.functional import cross_entropy

import thresher as th

HOLDINGS = ("none", "prune", "freeze", "straight-through")


def training_step(model: str, holding: str, batch: int, sparsity: float):
    """A function that does one step of a new network."""
    draws = torch.Generator().manual_seed(0)
    net = th.models.build(model, seed=0)
    x = torch.randn((batch, *((1, 28, 28) if model.startswith("lenet") else (3, 32, 32))), generator=draws)
    y = torch.randint(10, (batch,), generator=draws)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    keep = None
    if holding != "none":
        weights = {name: p for name, p in net.named_parameters() if p.dim() > 1}
        mask = th.Mask({name: torch.rand(p.shape, generator=draws) >= sparsity for name, p in weights.items()})
        keep = th.FixedMask(mask, holding)
        keep.start(net, optimizer)

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(net(x), y).backward()
        optimizer.step()
        if keep is not None:
            keep.after_step()

    return step


def compare(model: str, holding: str, options: argparse.Namespace) -> dict[str, float]:
    """Median step of each in µs, and the ratio's median and quartiles over turns."""
    pair = [training_step(model, h, options.batch, options.sparsity) for h in ("none", holding)]
    medians: list[list[float]] = [[], []]
    for turn in range(options.turns + 2):
        for i in (0, 1) if turn % 2 else (1, 0):
            times = []
            for _ in range(options.steps):
                begin = perf_counter()
                pair[i]()
                times.append((perf_counter() - begin) * 1e6)
            if turn >= 2:  # the first two warm up
                medians[i].append(median(times[1:]))
    low, ratio, high = quantiles([masked / plain for plain, masked in zip(*medians, strict=True)], n=4)
    return {"plain_us": median(medians[0]), "masked_us": median(medians[1]), "ratio": ratio, "low": low, "high": high}


def main() -> None:
    """Print the table, and write it as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["lenet-300-100", "resnet-20"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    print(f"{'model':15} threads {'holding':17} {'plain µs':>9} {'masked µs':>10}  ratio (quartiles)")
    for model in options.models:
        for threads in options.threads:
            torch.set_num_threads(threads)
            for holding in HOLDINGS:
                r = compare(model, holding, options)
                rows.append({"model": model, "threads": threads, "holding": holding, "batch": options.batch, **r})
                print(
                    f"{model:15} {threads:7} {holding:17} {r['plain_us']:9.0f} {r['masked_us']:10.0f}  "
                    f"{r['ratio']:.3f} ({r['low']:.3f} to {r['high']:.3f})",
                    flush=True,
                )
    if options.json:
        options.json.write_text(json.dumps({"torch": torch.__version__, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
