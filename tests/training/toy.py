"""A small run with everything that a resume can get wrong, for the tests here and for the processes they kill.

Run as a script, ``toy.py RUN_DIR MODE THREADS``, it trains until what MODE says happens to it.
"""

import os
import resource
import signal
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from thresher.core import Batch, Mask, generator
from thresher.core.errors import ThresherError
from thresher.core.seeds import isolated_random_state
from thresher.layers import sparsify
from thresher.training import Outcome, TrainingPlan, train

CLASSES, FEATURES = 3, 6


class Examples:
    """Batches of a data set in memory, read in order as often as needed."""

    def __init__(self, inputs: Tensor, targets: Tensor, name: str, size: int = 7) -> None:
        self.inputs, self.targets, self.name, self.size = inputs, targets, name, size

    def __iter__(self):
        for rows in torch.arange(len(self.targets)).split(self.size):
            yield self.batch(rows)

    def batch(self, rows: Tensor) -> Batch:
        return Batch(self.inputs[rows], self.targets[rows], self.name, rows)


class Stream:
    """Endless batches, shuffled anew each epoch; the last of an epoch is smaller."""

    def __init__(self, examples: Examples, seed: int = 0) -> None:
        self.examples, self.seed, self.step = examples, seed, 0

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.examples.targets) // self.examples.size)

    def next_batch(self) -> Batch:
        epoch, place = divmod(self.step, self.steps_per_epoch)
        order = torch.randperm(len(self.examples.targets), generator=generator(self.seed, f"epoch {epoch}"))
        self.step += 1
        return self.examples.batch(order.split(self.examples.size)[place])

    def state_dict(self) -> dict[str, int]:
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.step = state["step"]


def examples(count: int, seed: int) -> Examples:
    draws = generator(seed, "examples")
    inputs = torch.randn(count, FEATURES, generator=draws)
    targets = torch.randint(CLASSES, (count,), generator=draws)
    return Examples(inputs, targets, f"toy/{seed}")


def net() -> nn.Module:
    with isolated_random_state(1):
        return nn.Sequential(
            nn.Linear(FEATURES, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, CLASSES)
        )


def sparse_net() -> nn.Module:
    """The toy net with half of its weights stored and the others not there."""
    dense = net()
    kept = {f"{layer}.weight": torch.arange(dense[layer].weight.numel()) % 2 == 0 for layer in (0, 4)}
    mask = Mask({name: keep.view(dense.get_parameter(name).shape) for name, keep in kept.items()})
    return sparsify(dense, mask, "always")


def plan(**changes) -> TrainingPlan:
    settings = {"steps": 40, "learning_rate": 0.1, "weight_decay": 1e-3, "schedule": "cosine", "warmup_steps": 4}
    return TrainingPlan(**{**settings, "evaluate_every": 9, "checkpoint_every": 6, **changes})


def run(run_dir, *, seed: int = 3, model=None, **arguments) -> Outcome:
    """Train a fresh toy net (or `model`); everything that is not given is the same every time."""
    settings = {
        "model": net() if model is None else model,
        "stream": Stream(examples(40, 0)),
        "plan": plan(),
        "loss": nn.functional.cross_entropy,
        "validation": examples(15, 1),
        "test": examples(20, 2),
        "run_dir": run_dir,
        "fingerprint": "toy",
    }
    with isolated_random_state(seed):
        return train(**{**settings, **arguments})


def final_state(run_dir: Path) -> dict:
    """The parts of the last checkpoint, without what the clock has a say in."""
    parts = torch.load(run_dir / "checkpoint.pt", weights_only=True)["parts"]
    parts["progress"] = {k: v for k, v in parts["progress"].items() if "seconds" not in k}
    return parts


def wait_for_interrupt(progress) -> None:
    """At step 20, say so and wait until Ctrl-C has come: the handler that was there before is then back."""
    if progress.step == 20:
        print("step 20", flush=True)
        while signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            time.sleep(0.01)


def fill_disk(progress) -> None:
    """After step 8 no file can grow beyond 2 kB, as on a full disk."""
    if progress.step == 8:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))


def die_while_saving() -> None:
    """Have the third checkpoint (step 18) killed by SIGKILL when it is written but not in its place."""
    fsync, calls = os.fsync, []

    def deadly(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 4:  # the first is that of metrics.jsonl
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(handle)

    os.fsync = deadly


if __name__ == "__main__":
    directory, mode, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(threads)
    if mode == "killed":
        die_while_saving()
    try:
        run(directory, on_progress={"interrupted": wait_for_interrupt, "full": fill_disk}.get(mode))
    except ThresherError as error:
        print(type(error).__name__, error, flush=True)
        sys.exit(3)
