"""The LeNets of thesis Table 3.1 on MNIST at a short budget: SNIP and, beside it, random pruning.

    python benchmarks/lenets_on_mnist.py --data-dir DIR [--out runs/lenets] [--optimizer momentum] [--seeds 1]

20 epochs for LeNet-300-100 and 8 for LeNet-5-Caffe, where the thesis trains for some hundred; learning rate 0.1,
decayed by 0.1 at each quarter of the budget, batch 100, weight decay 0.0005. With the thesis's momentum of 0.9 the
dense LeNet-5-Caffe, which has no ReLU after its convolutions, diverges at this learning rate; plain SGD, the default
of the authors' published code, trains it. Prints a Markdown table. Finished runs
are not repeated, so it can be interrupted and started again.
"""

import argparse
import statistics
from pathlib import Path

from thresher.core.errors import NonFiniteError
from thresher.experiments import Recipe, protocol, run
from thresher.training import ProgressBar

# model, sparsity, error published in Table 3.1 (Lee 2021) for SNIP, or for the reference
ROWS = [
    ("lenet-300-100", 0.0, 1.7),
    ("lenet-300-100", 0.95, 1.6),
    ("lenet-300-100", 0.98, 2.4),
    ("lenet-5-caffe", 0.0, 0.9),
    ("lenet-5-caffe", 0.98, 0.8),
    ("lenet-5-caffe", 0.99, 1.1),
]
EPOCHS = {"lenet-300-100": "20ep", "lenet-5-caffe": "8ep"}


def errors(model: str, method: str, sparsity: float, options: argparse.Namespace) -> str:
    """Final test error over the seeds, as text."""
    found = []
    for seed in range(options.seeds):
        fields = {**protocol("mnist"), "budget": EPOCHS[model], "optimizer": options.optimizer, "seed": seed}
        recipe = Recipe(**{**fields, "data": "mnist", "model": model, "method": method, "sparsity": sparsity})
        try:
            with ProgressBar(f"{model} {method} {sparsity}") as bar:
                result = run(recipe, options.out / recipe.name, data_dir=options.data_dir, resume=True, on_progress=bar)
        except NonFiniteError:
            return "diverged"
        found.append(result["test_error_final_pct"])
    spread = f" ± {statistics.stdev(found):.2f}" if len(found) > 1 else ""
    return f"{statistics.mean(found):.2f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/lenets"))
    parser.add_argument("--optimizer", default="momentum")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    lines = ["| network | sparsity | SNIP | random | SNIP, thesis |", "| --- | --- | --- | --- | --- |"]
    for model, sparsity, published in ROWS:
        methods = ("dense",) if sparsity == 0 else ("snip", "random")
        cells = [errors(model, method, sparsity, options) for method in methods]
        lines.append(
            f"| {model} | {sparsity or 'dense'} | {' | '.join(cells)}{' | –' * (2 - len(cells))} | {published} |"
        )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
