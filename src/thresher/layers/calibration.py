"""What a layer costs on this machine, by running it."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from thresher import ops
from thresher.core.seeds import generator, isolated_random_state
from thresher.core.untouched import first_tensor
from thresher.layers.calls import Call
from thresher.layers.cost_model import LayerCost
from thresher.layers.masked_parameter import MaskedParameter
from thresher.layers.replacements import SPARSE
from thresher.layers.sparse_layer import SparseLayer

Clock = Callable[[], float]

_LONGEST = 15.0  # seconds after which no round begins
_CALM_ROUNDS = 2  # that find nothing faster than _CALM times what was found before
_CALM = 0.95
_SHORTEST = 2e-3  # seconds that a piece of work is repeated for in each round
_LARGEST = 2**30  # multiply-adds of a forward pass; beyond, fewer examples are run
_FEWEST = 16  # examples, as many as a vector holds
_SPARSEST, _DENSEST = 0.02, 0.3  # shares of the weights kept in the two sparse layers that are run
_MOST_KEPT = 2**21  # weights kept there at most, since huge topologies take long to make


@dataclass(frozen=True)
class Probe:
    """What there is to measure: a dense `layer` of torch, one of its calls, and how many examples a batch has."""

    layer: nn.Module
    call: Call
    batch: int

    @property
    def name(self) -> str:
        """Everything that the cost depends on but the machine: the same text, the same cost.

        >>> Probe(nn.Linear(3, 2), Call(torch.Size([1, 3]), torch.Size([1, 2]), False), 128).name
        'Linear(in_features=3, out_features=2, bias=True) on [1, 3] × 128'
        """
        gradient = " with gradient" if self.call.for_inputs else ""
        return f"{self.layer!r} on {list(self.call.inputs)} × {self.batch}{gradient}"


def measured(probes: Sequence[Probe], clock: Clock = time.perf_counter) -> list[LayerCost]:
    """The cost of each probe's layer, in float32, with torch's present number of threads.

    Of each layer five pieces of work, itself dense and held, sparse with few and with more kept weights, and the
    change of layout of its input and of its output, are run in turn. The fastest run of each counts, since whatever
    disturbs makes it slower; rounds are added until they find none that is faster by more than a twentieth, or a
    quarter of a minute has passed. Large layers are run on fewer examples and the times scaled up.
    Cost: a tenth of a second for a small layer, a second or so for a large one; memory for a step of all of them.
    """
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        isolated_random_state(),  # dropout draws
    ):
        trials = unsettled = [_Trial(probe) for probe in probes]
        begun = clock()
        while unsettled:
            for trial in unsettled:
                trial.run(clock)
            late = clock() > begun + _LONGEST
            unsettled = [trial for trial in unsettled if trial.calm_rounds < _CALM_ROUNDS and not late]
    return [trial.cost() for trial in trials]


class _Trial:
    """The work of one probe, and the fastest that it has been seen to take."""

    def __init__(self, probe: Probe) -> None:
        examples = _examples(probe)
        self.calm_rounds = 0
        self._work = _work(probe, examples)
        self._scale = probe.batch / examples
        self._fastest = dict.fromkeys(self._work, math.inf)

    def run(self, clock: Clock) -> None:
        self.calm_rounds += 1
        for name, run in self._work.items():
            seconds = _sample(run, clock)
            if seconds < _CALM * self._fastest[name]:
                self.calm_rounds = 0
            self._fastest[name] = min(seconds, self._fastest[name])

    def cost(self) -> LayerCost:
        found = self._fastest
        sparse = {kept: seconds for kept, seconds in found.items() if isinstance(kept, int)}
        return LayerCost.from_measurements(found["dense"], sparse, found["arriving"], found["leaving"]) * self._scale


def _examples(probe: Probe) -> int:
    """Examples to run: the whole batch, unless that takes long."""
    macs = _weights(probe.layer) * math.prod(probe.call.outputs) // max(_width(probe.layer), 1)  # for one example
    return min(probe.batch, max(_FEWEST, _LARGEST // max(macs, 1)))


def _weights(layer: nn.Module) -> int:
    return sum(p.numel() for name, p in layer.named_parameters(recurse=False) if name.startswith("weight"))


def _width(layer: nn.Module) -> int:
    """Features, or channels, of the output."""
    if isinstance(layer, nn.Linear):
        return layer.out_features
    if isinstance(layer, nn.RNNBase):
        return layer.hidden_size * (2 if layer.bidirectional else 1)
    return cast(_ConvNd, layer).out_channels


def _work(probe: Probe, batch: int) -> dict[str | int, Callable[[], object]]:
    """What to run: "dense", "arriving", "leaving", and for the sparse layers their number of kept weights."""
    draws = generator(0, "calibration")
    x, y = (_normal(_batched(probe.layer, shape, batch), draws) for shape in probe.call[:2])
    for_inputs = probe.call.for_inputs
    # a recurrent layer takes the steps as they come
    innermost = not isinstance(probe.layer, nn.RNNBase)
    x_near, y_near = (ops.batch_innermost(x), ops.batch_innermost(y)) if innermost else (x, y)
    work: dict[str | int, Callable[[], object]] = {}
    for share in (_SPARSEST, _DENSEST):
        kept, layer = _sparse(probe.layer, share, draws)
        work[kept] = _Step(layer, x_near, y_near, for_inputs)
    work["dense"] = _Step(_held(layer), x, y, for_inputs)
    work["arriving"] = partial(_change_layout, _input(x, for_inputs), innermost, innermost and for_inputs)
    work["leaving"] = partial(_change_layout, y, True, True)
    return work


def _input(x: Tensor, wants_gradient: bool) -> Tensor:
    """A tensor of its own, since others use `x` as well."""
    return x.detach().requires_grad_(wants_gradient)


def _normal(shape: list[int], draws: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=draws, dtype=torch.float32, device="cpu")


def _sparse(layer: nn.Module, share: float, draws: torch.Generator) -> tuple[int, SparseLayer]:
    """Kept weights, and a sparse layer in float32 with the settings of `layer` that keeps about `share` of them."""
    share *= min(1.0, _MOST_KEPT / (_DENSEST * max(_weights(layer), 1)))
    keep = {
        name: torch.rand(p.shape, generator=draws, device="cpu") < share
        for name, p in layer.named_parameters(recurse=False)
        if name.startswith("weight")
    }
    sparse = SPARSE[type(layer)].from_dense(layer, keep).float().requires_grad_(True).train()
    return sum(int(k.sum()) for k in keep.values()), sparse


def _held(sparse: SparseLayer) -> nn.Module:
    """The dense form with removed weights held at zero, which is what `sparsify` makes of a layer it does not swap."""
    dense = sparse.to_dense().requires_grad_(True)
    for name in sparse.sparse_weights:
        setattr(dense, name, MaskedParameter(dense.get_parameter(name), sparse.keep_of(name)))
    return dense


def _batched(layer: nn.Module, shape: torch.Size, batch: int) -> list[int]:
    """The shape for one example with `batch` times as many; rows of a linear layer are examples all of them."""
    sizes = list(shape)
    if isinstance(layer, nn.Linear):
        return [math.prod(sizes[:-1]) * batch, sizes[-1]]
    if isinstance(layer, nn.RNNBase):
        sizes = sizes if len(sizes) == 3 else [1, *sizes] if layer.batch_first else [sizes[0], 1, sizes[1]]
        sizes[0 if layer.batch_first else 1] *= batch
        return sizes
    one_image = len(sizes) == len(cast(_ConvNd, layer).kernel_size) + 1
    return [batch, *sizes] if one_image else [sizes[0] * batch, *sizes[1:]]


def _change_layout(x: Tensor, there: bool, back: bool) -> None:
    """A copy of `x` to the layout of sparse layers, and one of a gradient back from it, as asked."""
    innermost = ops.batch_innermost(x) if there else x
    if back:
        innermost.contiguous()


class _Step:
    """One forward and backward pass of `module`."""

    def __init__(self, module: nn.Module, x: Tensor, gradient: Tensor, for_inputs: bool) -> None:
        self.module, self.gradient = module, gradient
        self.x = _input(x, for_inputs)
        self.wanted = [*module.parameters(), *([self.x] if for_inputs else [])]

    def __call__(self) -> None:
        first_tensor(self.module(self.x)).backward(self.gradient)  # type: ignore[no-untyped-call]
        for tensor in self.wanted:
            tensor.grad = None


def _sample(run: Callable[[], object], clock: Clock) -> float:
    """Seconds of the fastest of several runs; a run before them brings back caches and threads."""
    run()
    fastest, begun = math.inf, clock()
    before = begun
    while before == begun or before < begun + _SHORTEST:
        run()
        now = clock()
        fastest, before = min(fastest, now - before), now
    return fastest
