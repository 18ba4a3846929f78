"""Who runs in a heat: every variant of every contender, made of the same model and found to compute the same."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from thresher.allocations import Uniform
from thresher.bench.agreement import Expected, answers, require_agreement
from thresher.bench.cases import CASES, Case
from thresher.bench.contender import Contender, Unable, Variant, laid_out
from thresher.bench.contenders import CONTENDERS
from thresher.bench.memory import Held, held
from thresher.bench.work import Work, inference_work, layer_work, step_work
from thresher.core.mask import Mask
from thresher.core.seeds import generator
from thresher.criteria import Random
from thresher.procedures import prune


@dataclass(frozen=True)
class Heat:
    """One race: `case` at `sparsity`, `batch` examples, in training or in inference; `seed` draws mask and data."""

    case: str
    sparsity: float
    batch: int
    train: bool
    seed: int = 0


@dataclass(frozen=True)
class Entrant:
    """A variant of a contender, ready to run; `module` and `optimizer` are what holds memory between steps."""

    contender: str
    variant: str
    work: Work
    module: nn.Module
    optimizer: torch.optim.Optimizer | None


class Field:
    """The model, mask, batch and entrants of a heat.

    absent: contender → why it does not take the case. rejected: the same for single variants of those that do.
    """

    def __init__(self, heat: Heat, names: Sequence[str]) -> None:
        case = CASES[heat.case]
        self.model = case.build()
        self.inputs = torch.randn(heat.batch, *case.input_shape, generator=generator(heat.seed, "bench-inputs"))
        draw = Random(generator(heat.seed, "bench-mask"))
        self.mask: Mask = prune(
            self.model,
            draw,
            sparsity=heat.sparsity,
            allocation=Uniform(),
            on_collapse="ignore",
            example=self.inputs[:1],
        )
        self.entrants: list[Entrant] = []
        self.absent: dict[str, str] = {}
        self.rejected: dict[str, dict[str, str]] = {}
        masked = copy.deepcopy(self.model)
        self.mask.apply_(masked)
        expected = {
            sparse: Expected.of(model, self.inputs, heat.train)
            for sparse, model in ((False, self.model), (True, masked))
        }
        for name in names:
            contender = CONTENDERS[name]
            if heat.train and not contender.trains:
                continue
            model = masked if contender.sparse else self.model
            self._enter(heat, case, name, model, expected[contender.sparse])

    def held(self, entrant: Entrant) -> Held | None:
        """What training holds in memory for `entrant`; None in inference and for single layers."""
        return None if entrant.optimizer is None else held(entrant.module, entrant.optimizer, self.model)

    def _enter(self, heat: Heat, case: Case, name: str, model: nn.Module, expected: Expected) -> None:
        reasons = {}
        for variant_name, variant in _variants(CONTENDERS[name], case):
            try:
                inputs = laid_out(self.inputs, variant.layout)
                module = self._made(variant, model, inputs)
                require_agreement(answers(module, inputs, heat.train), expected)
            except Unable as unable:
                reasons[variant_name] = str(unable)
            else:
                work, optimizer = _work(heat, case, module, inputs)
                self.entrants.append(Entrant(name, variant_name, work, module, optimizer))
        if not any(entrant.contender == name for entrant in self.entrants):
            self.absent[name] = "; ".join(dict.fromkeys(reasons.values()))
        elif reasons:
            self.rejected[name] = reasons

    def _made(self, variant: Variant, model: nn.Module, inputs: Tensor) -> nn.Module:
        try:
            return variant.build(model, self.mask, inputs)
        except Unable:
            raise
        except Exception as error:  # whatever another library raises: the others run all the same
            raise Unable(" ".join(f"{type(error).__name__}: {error}".split())) from error


def _variants(contender: Contender, case: Case) -> Iterator[tuple[str, Variant]]:
    return ((name, v) for name, v in contender.variants.items() if v.kind in (None, case.kind))


def _work(heat: Heat, case: Case, module: nn.Module, inputs: Tensor) -> tuple[Work, torch.optim.Optimizer | None]:
    if not heat.train:
        return inference_work(module, inputs), None
    module.train()
    if case.kind == "layer":
        return layer_work(module, inputs), None
    targets = torch.arange(heat.batch) % module(inputs).shape[1]
    return step_work(module, inputs, targets)
