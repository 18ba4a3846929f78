"""Parameters and multiply-adds, dense and kept, layer by layer."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from thresher.analysis.macs import MacCounter
from thresher.core.example import example_input
from thresher.core.mask import Mask
from thresher.core.untouched import call_with, untouched


@dataclass(frozen=True)
class LayerCost:
    """One parameter: its size, what the mask keeps of it, and the multiply-adds one example spends on it."""

    name: str
    shape: tuple[int, ...]
    total: int
    kept: int
    dense_macs: int
    kept_macs: int

    @property
    def sparsity(self) -> float:
        """Fraction of this parameter removed, in [0, 1]; 0 for an empty one."""
        return 1.0 - self.kept / self.total if self.total else 0.0


@dataclass(frozen=True)
class Cost:
    """What a model costs for one example, dense and under a mask; `layers` has one row per parameter.

    `dense_macs` and `kept_macs` are the rows' sums plus `unweighted_macs`: products of activations with
    activations (attention scores and mixtures), which no mask removes.
    """

    layers: tuple[LayerCost, ...]
    unweighted_macs: int

    @property
    def parameters(self) -> int:
        """Parameters of every kind, each shared one once."""
        return sum(layer.total for layer in self.layers)

    @property
    def kept_parameters(self) -> int:
        """Parameters less what the mask removes."""
        return sum(layer.kept for layer in self.layers)

    @property
    def compression_ratio(self) -> float:
        """All parameters / kept parameters; infinite if none is kept, 1 for a model without any."""
        return _ratio(self.parameters, self.kept_parameters)

    @property
    def dense_macs(self) -> int:
        """Multiply-adds of the dense model for one example."""
        return sum(layer.dense_macs for layer in self.layers) + self.unweighted_macs

    @property
    def kept_macs(self) -> int:
        """Multiply-adds for one example that involve no removed weight."""
        return sum(layer.kept_macs for layer in self.layers) + self.unweighted_macs

    @property
    def theoretical_speedup(self) -> float:
        """Dense / kept multiply-adds; infinite if none is kept. No promise about seconds."""
        return _ratio(self.dense_macs, self.kept_macs)


def cost(model: nn.Module, mask: Mask | None = None, example: Tensor | None = None) -> Cost:
    """The parameters and multiply-adds of `model` for one example, and what is left of them under `mask`.

    A weight costs kept × uses multiply-adds: it is used once per row (linear), output position (convolution;
    padded positions count, input positions if transposed), time step (recurrent) or token (attention). A tensor
    that several layers share is one row and counts in every layer that uses it. Biases, normalisations,
    activations and embedding look-ups cost none, zero weights that the mask keeps cost as much as others, and
    without a mask everything is kept. A weight computed from parameters (a parametrization) is counted among
    the unweighted. Only calls that PyTorch lets be overridden are seen: not TorchScript, not custom C++.

    `example` is a batch shaped as the model takes it; its first entry is used (see `core.example_input` for when
    it can be left out). Raises MaskMismatchError if `mask` is for another model and ArgumentError if the input
    shape cannot be told. The model is as it was afterwards. Cost: one forward pass.

    Source: Blalock et al. (2020): compression ratio and theoretical speedup, over the whole model.
    `torch.utils.flop_counter` counts two operations where this counts one multiply-add.

    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> keep = torch.tensor([[True, False, False, False]] * 3)
    >>> c = cost(net, Mask({"0.weight": keep}))
    >>> c.parameters, c.kept_parameters, c.dense_macs, c.kept_macs, c.theoretical_speedup
    (23, 14, 18, 9, 2.0)
    """
    mask = Mask({}) if mask is None else mask
    masked = {id(parameter): mask[name] for name, parameter in mask.parameters_of(model).items()}
    parameters = dict(model.named_parameters())
    # by the parameter's first name, which need not be the one the mask uses for a shared tensor
    own = Mask({name: masked[id(p)] for name, p in parameters.items() if id(p) in masked})
    counter = MacCounter(parameters, own)
    with untouched(model, training=False), torch.no_grad():
        inputs = example_input(model, example)
        with counter:
            call_with(model, {}, inputs)
    return Cost(
        layers=tuple(
            LayerCost(
                name=name,
                shape=tuple(parameter.shape),
                total=parameter.numel(),
                kept=int(own[name].sum()) if name in own else parameter.numel(),
                dense_macs=counter.dense[name],
                kept_macs=counter.kept[name],
            )
            for name, parameter in parameters.items()
        ),
        unweighted_macs=counter.unweighted,
    )


def _ratio(everything: int, kept: int) -> float:
    if kept:
        return everything / kept
    return math.inf if everything else 1.0
