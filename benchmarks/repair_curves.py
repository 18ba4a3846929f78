"""What approximate isometry does for training: SNIP and random masks of 98 %, with and without it, five seeds.

    python benchmarks/repair_curves.py --data-dir DIR [--out compared/repair]

LeNet-300-100 on MNIST, 2,000 steps of 100 examples at a constant learning rate of 0.01. Prints the mean training loss
and writes the page of the study with its learning curves. What is finished is not run again.
"""

import argparse
import json
import statistics
from pathlib import Path

from thresher.experiments import Store, StudyRun, grid, run, summarize
from thresher.report.study_files import write_study

STEPS = (100, 300, 500, 1000, 2000)


def losses(runs: list[StudyRun]) -> list[str]:
    """Mean over the runs of the training loss up to each of `STEPS`, as text."""
    found = {step: [] for step in STEPS}
    for one in runs:
        rows = [json.loads(line) for line in (one.directory / "metrics.jsonl").read_text().splitlines()]
        for row in rows:
            if row["step"] in found:
                found[row["step"]].append(row["train_loss"])
    return [f"{statistics.mean(values):.2f}" for values in found.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, default=Path("compared/repair"))
    options = parser.parse_args()
    base = {"data": "mnist", "model": "lenet-300-100", "sparsity": 0.98, "learning_rate": 0.01, "decay": "constant"}
    length = {"budget": "2000it", "evaluate_every": "100it"}
    recipes = grid(base | length, method=["random", "snip"], isometry=["none", "frobenius"], seed=range(5))
    store = Store.open("runs")
    for recipe in recipes:
        run(recipe, store.directory(recipe), data_dir=options.data_dir, resume=True)
    runs = [StudyRun(recipe, store.result(recipe), directory=store.directory(recipe)) for recipe in recipes]
    print(f"| mask | {' | '.join(f'{step} steps' for step in STEPS)} | test error |")
    print("| --- " * (len(STEPS) + 2) + "|")
    summary = summarize(runs)
    for cell in summary.cells:
        shown = f"{cell.error.mean:.1f} ± {cell.error.half_width:.1f} %"
        print(f"| {cell.label} | {' | '.join(losses(list(cell.runs)))} | {shown} |")
    print(f"\npage: {write_study(options.out, 'Repair by approximate isometry', summary)}")


if __name__ == "__main__":
    main()
