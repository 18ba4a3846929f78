"""How a paper trains, at its own length and at those of a desk and of a test."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from thresher.experiments import Recipe
from thresher.papers.published import Budget, NotRun, Quantity, Trained, Work, final_test_error
from thresher.papers.shortened import shortened
from thresher.training.plan import OptimizerName

# 8 × 8 digits are too small for the convolutional networks of the papers, and those too slow for a test
_READ_DIGITS = ("lenet-300-100", "lstm-s", "gru-s", "resnet-20", "resnet-20-padded")
_STAND_IN = "lenet-300-100"
_SMOKE_EXAMPLES = 64
_SMOKE_ROUNDS = 5


@dataclass(frozen=True, kw_only=True)
class TrainingProtocol:
    """What all runs of a table share; without `decay_every` and `milestones` the learning rate is constant.

    Budget "full" trains `iterations`, "quick" as few as the table says, with the decays at the same fractions of
    the way. "smoke" is four steps on the embedded digits, for networks that cannot read those by lenet-300-100:
    it proves that everything runs, and compares nothing.
    """

    data: str
    batch_size: int
    iterations: int
    decay_every: int | None = None
    milestones: tuple[int, ...] = ()
    optimizer: OptimizerName = "momentum"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    initializer: str = "glorot"
    augment: bool = False
    evaluate_every: int = 2000

    def work(
        self,
        model: str,
        method: str = "dense",
        sparsity: float = 0.0,
        *,
        quick: int | NotRun,
        quick_score_examples: int | None = None,
        quantity: Quantity = final_test_error,
        **changes: Any,
    ) -> dict[Budget, Work]:
        """What a cell runs at each budget; `quick` is a number of steps, `changes` are further recipe fields.

        quick_score_examples: how many training examples score at quick, where it takes longer to read all than to
        train.
        """
        fields = {"method": method, "sparsity": sparsity, **changes}
        fewer: dict[str, Any] = {} if quick_score_examples is None else {"score_examples": quick_score_examples}
        return {
            "smoke": Trained(_smoke(model, fields), quantity),
            "quick": quick
            if isinstance(quick, NotRun)
            else Trained(self.recipe(model, quick, {**fields, **fewer}), quantity),
            "full": Trained(self.recipe(model, self.iterations, fields), quantity),
        }

    def recipe(self, model: str, steps: int, fields: dict[str, Any]) -> Recipe:
        """The recipe of `steps` steps, the protocol's fields overruled by `fields`."""
        whole = Recipe(
            data=self.data,
            model=model,
            batch_size=self.batch_size,
            budget=f"{self.iterations}it",
            evaluate_every=f"{self.evaluate_every}it",
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            initializer=self.initializer,
            augment=self.augment,
            decay="step" if self.decay_every or self.milestones else "constant",
            decay_every=None if self.decay_every is None else f"{self.decay_every}it",
            milestones=tuple(f"{step}it" for step in self.milestones),
        )
        return dataclasses.replace(shortened(whole, steps), **fields)


def _smoke(model: str, fields: dict[str, Any]) -> Recipe:
    short = {"batch_size": 16, "budget": "4it", "evaluate_every": "4it", "engine": "masked"}
    examples = fields.get("score_examples")
    fewer = {} if examples is None else {"score_examples": min(examples or _SMOKE_EXAMPLES, _SMOKE_EXAMPLES)}
    rounds = {"rounds": _SMOKE_ROUNDS} if fields["method"] == "synflow" else {}
    return Recipe(
        **{
            "data": "digits",
            "model": model if model in _READ_DIGITS else _STAND_IN,
            **fields,
            **short,
            **fewer,
            **rounds,
        }
    )
