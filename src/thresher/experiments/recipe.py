"""A recipe: everything that decides a run's result, as data; its hash is the run's name."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from thresher.core.errors import ArgumentError, FileFormatError, unknown_name
from thresher.core.step import Step
from thresher.core.topk import check_sparsity
from thresher.data import DATASETS
from thresher.data.batches import check_batch_size
from thresher.data.splits import check_fraction
from thresher.experiments.method import METHODS, SCORE_LOSSES, allocation_of, pattern_of, schedule_of
from thresher.initializers import initializer_of
from thresher.models import lookup
from thresher.procedures.settle_collapse import OnCollapse
from thresher.rules.fixed_mask import Holding
from thresher.training import TrainingPlan
from thresher.training.plan import OptimizerName, ScheduleName

Perturbation = Literal["none", "shuffle", "invert"]
Labels = Literal["true", "shuffled"]
Isometry = Literal["none", "frobenius", "spectral"]
ENGINES = ("auto", "sparse", "masked", "dense")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained on what, how it is pruned, and how it is trained.

    method: "dense" for no pruning, or a row of `METHODS`. sparsity: fraction of prunable weights removed.
    rounds and schedule: None takes the method's published ones (SynFlow: exponential, 100; others: one shot).
    score_examples: how many training examples the criterion reads; None is one batch, 0 the whole training set.
    budget, evaluate_every, decay_every: steps, '20ep' or '500it'; decay_every None is a quarter of the budget,
        as thesis chapter 4 decays an 80k budget every 20k.
    milestones: instead of decay_every, the steps at which the rate decays, rising, such as ('80ep', '120ep').
    score_loss: what data-dependent criteria differentiate: the cross-entropy with the labels, or one that needs none,
        see `thresher.criteria.unlabelled`.
    score_data: another data set, of the same shape and classes, whose training examples the criterion reads: sparsity
        is transferred from there (thesis Table 4.5).
    perturb: a sanity check of Frankle et al. (2021): "shuffle" permutes the mask within every tensor, "invert" keeps
        what scores low.
    labels: those that are trained on; "shuffled" permutes them among the training examples (Zhang et al. 2017).
        Scoring reads the true ones, as in Lee et al. (2019), section 5.6; so do validation and test.
    reinitialize: draw new weights after pruning, as the SNIP authors' code does, by `reinitialize_by` or, where
        that is None, by `initializer` again.
    isometry: move the kept weights, after pruning, towards orthogonal layers in this norm: `approximate_isometry_`.
    engine: "sparse" layers store and multiply kept weights only; "masked" is their simulation with dense layers;
        "dense" has no mask; "auto" makes those layers sparse that win by it on this machine. The network that comes
        out is the same up to rounding, and so up to which layers "auto" chose.

    Raises ArgumentError, with the near miss, for a name that is in no table or a value out of range.

    >>> a = Recipe(data="digits", model="lenet-300-100", method="snip", sparsity=0.9)
    >>> a.hash == dataclasses.replace(a, seed=0).hash, a.hash == dataclasses.replace(a, seed=1).hash
    (True, False)
    """

    data: str
    model: str
    method: str = "dense"
    sparsity: float = 0.0
    allocation: str = "global"
    pattern: str = "unstructured"
    schedule: str | None = None
    rounds: int | None = None
    protect: tuple[str, ...] = ()
    on_collapse: OnCollapse = "warn"
    score_examples: int | None = None
    score_loss: str = "labels"
    score_data: str | None = None
    perturb: Perturbation = "none"
    labels: Labels = "true"
    initializer: str = "glorot"
    reinitialize: bool = False
    reinitialize_by: str | None = None
    isometry: Isometry = "none"
    holding: Holding = "prune"
    engine: str = "auto"
    budget: str = "20ep"
    batch_size: int = 100
    augment: bool = False
    optimizer: OptimizerName = "momentum"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    decay: ScheduleName = "step"
    decay_every: str | None = None
    milestones: tuple[str, ...] = ()
    decay_factor: float = 0.1
    clip_norm: float | None = None
    evaluate_every: str = "1ep"
    validation: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for kind, name, known in (
            ("data set", self.data, DATASETS),
            ("method", self.method, METHODS),
            ("score_loss", self.score_loss, SCORE_LOSSES),
            ("data set", self.score_data or self.data, DATASETS),
            ("isometry", self.isometry, get_args(Isometry)),
            ("perturbation", self.perturb, get_args(Perturbation)),
            ("kind of labels", self.labels, get_args(Labels)),
            ("engine", self.engine, ENGINES),
            ("holding", self.holding, get_args(Holding)),
            ("choice for on_collapse", self.on_collapse, get_args(OnCollapse)),
        ):
            if name not in known:
                raise unknown_name(kind, name, known)
        lookup(self.model)
        initializer_of(self.initializer)
        initializer_of(self.reinitialize_by or self.initializer)
        allocation_of(self.allocation)
        schedule_of(self.method, self.schedule, self.rounds)
        density = pattern_of(self.pattern).fixed_density
        check_sparsity(self.sparsity)
        if density is not None and self.method != "dense" and self.sparsity == 0.0:
            object.__setattr__(self, "sparsity", 1.0 - density)
        if (self.method == "dense") != (self.sparsity == 0.0):
            raise ArgumentError(
                f"method '{self.method}' at sparsity {self.sparsity}: "
                + (
                    "name a method to prune with"
                    if self.method == "dense"
                    else "say how much to remove: a sparsity in (0, 1), such as 0.9"
                )
            )
        if self.engine == "sparse" and self.method == "dense":
            raise ArgumentError("engine 'sparse' needs a mask: name a method to prune with, or leave the engine out")
        if self.engine == "sparse" and self.holding != "prune":
            raise ArgumentError(
                f"engine 'sparse' stores no removed weights, and holding '{self.holding}' works with them: leave the "
                "engine out or use 'masked'"
            )
        if self.reinitialize_by is not None and not self.reinitialize:
            raise ArgumentError(
                f"reinitialize_by='{self.reinitialize_by}' says how new weights are drawn, but none are: "
                "set reinitialize, or leave it out"
            )
        if self.perturb != "none" and (self.method == "dense" or self.pattern != "unstructured"):
            raise ArgumentError(
                f"perturb '{self.perturb}' is for unstructured masks: got method '{self.method}', "
                f"pattern '{self.pattern}'"
            )
        if self.engine == "dense" and self.method != "dense":
            raise ArgumentError("engine 'dense' holds no mask: leave the method out or use engine 'masked'")
        if not isinstance(self.milestones, tuple) or not all(isinstance(text, str) for text in self.milestones):
            raise ArgumentError(f"milestones is a tuple of steps such as ('80ep', '120ep'): got {self.milestones!r}")
        if self.milestones and self.decay_every:
            raise ArgumentError(
                "decay_every and milestones both say when the learning rate decays, so give one: got "
                f"{self.decay_every!r} and {self.milestones!r}"
            )
        for text in (self.budget, self.evaluate_every, *([self.decay_every] if self.decay_every else [])):
            if Step.parse(text) == Step():
                raise ArgumentError(f"budget, evaluate_every and decay_every are at least one step: got {text!r}")
        if not 0 <= self.seed < 2**63:
            raise ArgumentError(f"seed is a whole number in [0, 2^63): got {self.seed}")
        check_fraction(self.validation)
        check_batch_size(self.batch_size)
        self.plan(steps_per_epoch=1000)
        if self.score_examples is not None and self.score_examples < 0:
            raise ArgumentError(f"score_examples is a count, 0 for all: got {self.score_examples}")

    @property
    def hash(self) -> str:
        """Hexadecimal digest of the fields that differ from their defaults.

        So a field that is added later, with a default that keeps the old behaviour, changes no old hash.
        """
        changed = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.default is dataclasses.MISSING or getattr(self, field.name) != field.default
        }
        return hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()

    @property
    def name(self) -> str:
        """A readable name for the run, unique by its tail, the start of the hash."""
        pruned = self.method if self.method == "dense" else f"{self.method}-{self.sparsity:g}"
        return f"{self.data}-{self.model}-{pruned}-seed{self.seed}-{self.hash[:8]}"

    @property
    def data_read(self) -> tuple[str, ...]:
        """The data sets whose files it reads: what is trained on, and, where it is another, what is scored with."""
        return (self.data,) if self.score_data in (None, self.data) else (self.data, self.score_data)

    def plan(self, steps_per_epoch: int, checkpoint_every: int = 1000) -> TrainingPlan:
        """What the recipe says of training, in steps of a data set with `steps_per_epoch`."""
        steps = Step.parse(self.budget).at(steps_per_epoch)
        decay_every = None
        if self.decay == "step" and not self.milestones:
            every = Step.parse(self.decay_every).at(steps_per_epoch) if self.decay_every else 0
            decay_every = every or -(-steps // 4)
        return TrainingPlan(
            steps=steps,
            learning_rate=self.learning_rate,
            optimizer=self.optimizer,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            schedule=self.decay,
            milestones=tuple(Step.parse(text).at(steps_per_epoch) for text in self.milestones),
            decay_every=decay_every,
            decay_factor=self.decay_factor,
            clip_norm=self.clip_norm,
            evaluate_every=Step.parse(self.evaluate_every).at(steps_per_epoch),
            checkpoint_every=checkpoint_every,
        )

    def to_json(self) -> str:
        """All fields, as indented JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> "Recipe":
        """The recipe that `to_json` wrote; FileFormatError, naming `where`, for anything else."""
        try:
            fields = json.loads(text)
            for name in ("protect", "milestones"):
                fields[name] = tuple(fields.get(name, ()))
            return cls(**fields)
        except (json.JSONDecodeError, TypeError, AttributeError) as error:
            raise FileFormatError(f"{where} is not a recipe of this version: {error}") from error

    def differences(self, other: "Recipe") -> Mapping[str, tuple[Any, Any]]:
        """Field name → (own value, other's value) where the two differ."""
        own, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return {name: (own[name], theirs[name]) for name in own if own[name] != theirs[name]}
