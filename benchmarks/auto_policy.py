"""What policy="auto" is worth: a whole training step dense, as "auto" makes it, and with every masked layer sparse.

    python benchmarks/auto_policy.py [--cases lenet-300-100 …] [--sparsities 0.5 0.8 0.9 0.98] [--batch 128]
        [--threads N] [--rounds 15] [--layers] [--json FILE]

One process; the networks take turns, a few milliseconds each, after a warm-up. The step is zero_grad, forward,
cross-entropy, backward, SGD with momentum. Printed: the median step, the median over rounds of auto / dense and of
always / dense with the quartiles of the first, and which layers "auto" swapped. With --layers also, for every layer
and sparsity, the seconds that the cost model predicts beside those of the layer run by itself, forward and backward.
Costs come from the cache and are measured first where it lacks them; XDG_CACHE_HOME=/some/empty/folder has them
measured anew.
"""

import argparse
import json
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

import thresher as th
from thresher import ops
from thresher.bench.cases import CASES
from thresher.bench.interleave import interleave
from thresher.bench.spread import ratios
from thresher.bench.work import layer_work, step_work
from thresher.layers import SPARSE, SparseLayer
from thresher.layers.calibration import Probe
from thresher.layers.calls import calls_of
from thresher.layers.remembered_costs import remembered_costs

NETWORKS = [name for name, case in CASES.items() if case.kind == "network" and name != "vgg-like"]


def random_mask(net, sparsity):
    """Every weight matrix at this sparsity."""
    draws = torch.Generator().manual_seed(0)
    weights = {name: p for name, p in net.named_parameters() if p.dim() > 1}
    return th.Mask({name: torch.rand(p.shape, generator=draws) >= sparsity for name, p in weights.items()})


def race(name: str, sparsity: float, options: argparse.Namespace) -> dict:
    """Steps of one network at one sparsity."""
    case = CASES[name]
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(options.batch, *case.input_shape, generator=draws)
    y = torch.arange(options.batch) % 10
    dense = case.build()
    mask = random_mask(dense, sparsity)
    began = perf_counter()
    auto = th.sparsify(dense, mask, example=x, batch=options.batch)
    chose = perf_counter() - began
    nets = {"dense": dense, "auto": auto, "always": th.sparsify(dense, mask, policy="always")}
    samples = interleave({k: step_work(net, x, y)[0] for k, net in nets.items()}, options.rounds)
    steps = {k: [sample["total"] for sample in taken] for k, taken in samples.items()}
    masked = [n for n, m in nets["always"].named_modules() if isinstance(m, SparseLayer)]
    return {
        "case": name,
        "sparsity": sparsity,
        "step": {k: median(taken) for k, taken in steps.items()},
        "auto": ratios(steps["auto"], steps["dense"]),
        "always": ratios(steps["always"], steps["dense"]),
        "dense_layers": [n for n in masked if not isinstance(auto.get_submodule(n), SparseLayer)],
        "num_layers": len(masked),
        "seconds_to_choose": chose,
    }


def layers(name: str, options: argparse.Namespace) -> list[dict]:
    """Predicted and measured seconds of each distinct layer of one network."""
    case = CASES[name]
    net = case.build()
    prefixes = {module: prefix for prefix, module in net.named_modules()}
    seen, rows = set(), []
    for layer, calls in calls_of(net, torch.randn(1, *case.input_shape)).items():
        probe = Probe(layer, calls[0]._replace(for_inputs=True), options.batch)
        if probe.name in seen or type(layer) not in SPARSE:
            continue
        seen.add(probe.name)
        (cost,) = remembered_costs([probe])
        x = torch.randn(options.batch, *probe.call.inputs[1:])
        near = x if isinstance(layer, torch.nn.RNNBase) else ops.batch_innermost(x)
        works, kept = {"dense": layer_work(_first(layer), x)}, {}
        for sparsity in options.sparsities:
            keep = {n: torch.rand(p.shape) >= sparsity for n, p in layer.named_parameters() if n.startswith("weight")}
            kept[sparsity] = sum(int(k.sum()) for k in keep.values())
            works[str(sparsity)] = layer_work(_first(SPARSE[type(layer)].from_dense(layer, keep)), near.clone())
        times = {k: median(s["total"] for s in taken) for k, taken in interleave(works, options.rounds).items()}
        row = {"case": name, "layer": prefixes[layer], "dense": [cost.dense, times["dense"]]}
        rows.append(row | {str(s): [cost.sparse(kept[s]), times[str(s)]] for s in options.sparsities})
    return rows


def _first(layer):
    """A recurrent layer that returns its output alone."""
    if not isinstance(layer, torch.nn.RNNBase | SPARSE[torch.nn.LSTM] | SPARSE[torch.nn.GRU]):
        return layer

    class First(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(x)[0]

    return First()


def main() -> None:
    """Print the tables, and write them as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=NETWORKS, choices=[*NETWORKS, "vgg-like"])
    parser.add_argument("--sparsities", nargs="+", type=float, default=[0.5, 0.8, 0.9, 0.98])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--layers", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{options.threads} threads, batch {options.batch}, {ops.instruction_set()}, torch {torch.__version__}")
    print(f"{'case':22} sparsity {'dense ms':>9} {'auto ms':>9}  auto/dense (quartiles)  always/dense  left dense")
    rows = []
    for name in options.cases:
        for sparsity in options.sparsities:
            rows.append(r := race(name, sparsity, options))
            auto, left = r["auto"], r["dense_layers"]
            print(
                f"{name:22} {sparsity:8} {r['step']['dense'] * 1e3:9.3f} {r['step']['auto'] * 1e3:9.3f}  "
                f"{auto['median']:6.3f} ({auto['lower_quartile']:.3f} to {auto['upper_quartile']:.3f})  "
                f"{r['always']['median']:10.3f}    {len(left)} of {r['num_layers']}: {', '.join(left)[:60]}",
                flush=True,
            )
    print(f"worst auto/dense {max(r['auto']['median'] for r in rows):.3f}")
    by_layer = [row for name in options.cases for row in layers(name, options)] if options.layers else []
    for row in by_layer:
        said = {k: v for k, v in row.items() if isinstance(v, list)}
        print(f"{row['case']:22} {row['layer']:22}", end="")
        print(*(f"{k}: {p * 1e6:.0f}/{m * 1e6:.0f} = {p / m:.2f}" for k, (p, m) in said.items()), sep="  ")
    if options.json:
        environment = {"threads": options.threads, "batch": options.batch, "torch": torch.__version__}
        options.json.write_text(json.dumps(environment | {"rows": rows, "layers": by_layer}, indent=1))


if __name__ == "__main__":
    main()
