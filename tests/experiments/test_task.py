import dataclasses

from thresher.experiments import Recipe
from thresher.experiments.task import same_task

# a field that is added later has to be thought of: may a baseline differ in it?
THE_TASK = {
    *("data", "model", "initializer", "budget", "batch_size", "augment", "optimizer", "learning_rate", "momentum"),
    *("weight_decay", "decay", "decay_every", "milestones", "decay_factor", "clip_norm", "evaluate_every"),
    *("validation", "labels"),
}
OTHERS = {
    "data": "mnist",
    "model": "mlp-3",
    "method": "random",
    "sparsity": 0.5,
    "allocation": "uniform",
    "pattern": "channel",
    "schedule": "linear",
    "rounds": 3,
    "protect": ("fc1.weight",),
    "on_collapse": "raise",
    "score_examples": 5,
    "initializer": "variance-scaling",
    "holding": "freeze",
    "engine": "masked",
    "budget": "3ep",
    "optimizer": "adam",
    "decay": "cosine",
    "decay_every": "2ep",
    "milestones": ("2ep",),
    "evaluate_every": "5ep",
    "clip_norm": 1.0,
    "labels": "shuffled",
    "reinitialize_by": "glorot",
    "perturb": "shuffle",
    "score_loss": "uniform",
    "score_data": "mnist",
    "isometry": "frobenius",
}


class Stand(dict):
    """A recipe's fields without its rules: some values go with others only."""

    def differences(self, other):
        return {name: (self[name], other[name]) for name in self if self[name] != other[name]}


def test_a_baseline_may_differ_in_how_it_prunes_and_in_nothing_else():
    snip = Stand(dataclasses.asdict(Recipe(data="digits", model="lenet-300-100", method="snip", sparsity=0.9)))
    for name, value in snip.items():
        other = OTHERS.get(name, not value if isinstance(value, bool) else None if value is None else value)
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in OTHERS:
            other = value + 1
        assert other != value, f"this test needs another value for the field {name}"
        assert same_task(snip, Stand(snip | {name: other})) == (name not in THE_TASK), name
