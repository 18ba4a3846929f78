"""Where pruning at initialisation empties a layer of VGG-16: magnitude, random, SNIP, GraSP against SynFlow.

    python benchmarks/collapse_curves.py [--data-dir DIR] [--seeds 3] [--rounds 100] [--json FILE]

VGG-16 with a CIFAR-100 head, weights drawn by He et al.'s normal scheme, as in Tanaka et al. (2020), whose stored
results put the first empty layer at compression 10^3.0 (magnitude), 10^3.0 to 10^4.0 (random), 10^3.75 to 10^4.0
(SNIP and GraSP, one shot) and nowhere up to 10^6.0 (SynFlow, 100 rounds). No training.

SNIP and GraSP read 10 examples a class in evaluation mode, as there. With CIFAR-100 in DIR they read that;
otherwise CIFAR-10 images under labels drawn from 100 classes (at initialisation the labels only set the direction
of the last layer's error); without either, standard normal images.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import thresher as th
from thresher.core import kept_count
from thresher.core.errors import DataError

PUBLISHED = {"magnitude": "3.0", "random": "3.0–4.0", "snip": "3.75–4.0", "grasp": "3.75–4.0", "synflow": "none to 6.0"}
EXPONENTS = [i / 4 for i in range(4, 25)]
NUM_EXAMPLES = 1000


def batches(data_dir: Path | None, seed: int) -> tuple[list[tuple[Tensor, Tensor]], str]:
    """1,000 examples in batches of 250, and where they come from."""
    draws = torch.Generator().manual_seed(seed)
    for name in ("cifar-100", "cifar-10"):
        try:
            splits = th.data.load(name, data_dir, download=False)
        except DataError:
            continue
        rows = torch.randperm(len(splits.train), generator=draws)[:NUM_EXAMPLES]
        read = list(th.data.Batches(splits.train.subset(rows), splits, 250))
        if name == "cifar-100":
            return [(x, y) for x, y in read], name
        labels = torch.randint(100, (len(read), 250), generator=draws)
        return [(x, y) for (x, _), y in zip(read, labels, strict=True)], "cifar-10 images, drawn labels"
    shape = (NUM_EXAMPLES // 250, 250)
    images = torch.randn((*shape, 3, 32, 32), generator=draws)
    return list(zip(images, torch.randint(100, shape, generator=draws), strict=True)), "normal noise, drawn labels"


def network(seed: int) -> nn.Module:
    """VGG-16 for 100 classes with He-normal weights and zero biases."""
    net = th.models.build("vgg16", num_classes=100, seed=seed)
    he = th.VarianceScaling(2.0, "in", "normal")
    he.initialize_(net, torch.Generator().manual_seed(seed))
    return net


def first_empty(scores: Mapping[str, Tensor]) -> float | None:
    """The first exponent at which keeping the best scores empties a layer."""
    total = sum(s.numel() for s in scores.values())
    for exponent in EXPONENTS:
        kept = kept_count(total, 1 - 10**-exponent)
        if min(th.Global().counts(scores, kept).values()) == 0:
            return exponent
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--exponent", type=float, default=5.0, help="compression of SynFlow's run, 10 to this")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for seed in range(options.seeds):
        net = network(seed)
        data, source = batches(options.data_dir, seed)
        weights = th.prunable(net)
        one_shot = {
            "magnitude": th.Magnitude(),
            "random": th.Random(torch.Generator().manual_seed(seed)),
            "snip": th.SNIP(cross_entropy),
            "grasp": th.GraSP(cross_entropy, training=False),
        }
        for name, criterion in one_shot.items():
            start = perf_counter()
            found = first_empty(criterion.scores(net, weights, data))
            rows.append({"seed": seed, "method": name, "first_empty_log10": found, "data": source})
            print(
                f"seed {seed}  {name:9}  first empty layer at 10^{found}  published 10^{PUBLISHED[name]}"
                f"  ({perf_counter() - start:.0f} s)",
                flush=True,
            )
        start = perf_counter()
        mask = th.prune(
            net,
            th.SynFlow(),
            sparsity=1 - 10**-options.exponent,
            schedule=th.Exponential(options.rounds),
            on_collapse="ignore",
        )
        report = th.analysis.collapse(net, mask)
        rows.append(
            {
                "seed": seed,
                "method": "synflow",
                "log10_compression": options.exponent,
                "kept": mask.kept,
                "least_kept_in_a_layer": min(mask.counts.values()),
                "effective_kept": report.effective_kept,
                "rounds": options.rounds,
            }
        )
        print(
            f"seed {seed}  synflow    10^{options.exponent:g} in {options.rounds} rounds: {mask.kept} weights kept, "
            f"least in a layer {min(mask.counts.values())}, on a path {report.effective_kept}"
            f"  ({perf_counter() - start:.0f} s)",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
