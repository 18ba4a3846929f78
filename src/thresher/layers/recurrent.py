"""What the sparse LSTM and GRU share: layers, directions, dropout, the order of dimensions, initial states."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from thresher.core.errors import ArgumentError
from thresher.layers.sparse_layer import SparseLayer, copied

# the kinds of state a layer carries from step to step, each [N, H]
States = tuple[Tensor, ...]


class SparseRecurrent(SparseLayer):
    """A recurrent layer with the kept entries of its input and recurrent weights; the names are the dense layer's.

    module: the ``torch.nn`` layer whose weights, biases and settings are taken over. keep: name of a weight → bool
    tensor; a weight it does not name is kept whole. See `SparseLayer` for parameters and state.
    """

    _dense_class: ClassVar[type[nn.LSTM] | type[nn.GRU]]
    _num_states: ClassVar[int]

    def __init__(self, module: nn.RNNBase, keep: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = module.input_size, module.hidden_size, module.num_layers
        self.bias, self.batch_first, self.dropout = module.bias, module.batch_first, module.dropout
        self.bidirectional = module.bidirectional
        for name, parameter in module.named_parameters(recurse=False):
            if name.startswith("weight"):
                whole = torch.ones_like(parameter, dtype=torch.bool, requires_grad=False)
                self.add_sparse_weight(name, parameter, keep.get(name, whole))
            else:
                self.register_parameter(name, copied(parameter))

    @classmethod
    def supports(cls, module: nn.Module) -> bool:
        """Whether `module` has no projection (``proj_size``), which no sparse layer has."""
        return isinstance(module, cls._dense_class) and module.proj_size == 0

    @classmethod
    def from_dense(cls, module: nn.Module, keep: Mapping[str, Tensor]) -> Self:
        """The sparse form of `module`; `keep` has the masks of its weights by name, all of them or some."""
        if not isinstance(module, cls._dense_class) or not cls.supports(module):
            raise ArgumentError(
                f"{cls.__name__} is made from an nn.{cls._dense_class.__name__} without proj_size: got {module}; leave "
                "that layer dense"
            )
        return cls(module, keep).train(module.training)

    def to_dense(self) -> nn.LSTM | nn.GRU:
        """The ``torch.nn`` layer that computes the same."""
        layer = self._dense_class(
            self.input_size,
            self.hidden_size,
            self.num_layers,
            self.bias,
            self.batch_first,
            self.dropout,
            self.bidirectional,
            device="meta",
        )
        for name, parameter in self.named_parameters(recurse=False):
            setattr(layer, name, self.dense_parameter(name) if name in self.sparse_weights else copied(parameter))
        return layer.train(self.training)

    def flatten_parameters(self) -> None:
        """Nothing: models call it on ``torch.nn`` layers to lay their weights side by side for cuDNN."""

    def extra_repr(self) -> str:
        """Sizes, settings that are not the usual ones, kept weights, sparsity."""
        usual = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        others = [f"{name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *others, self.kept_repr()])

    @abstractmethod
    def _run(self, suffix: str, x: Tensor, states: States) -> tuple[Tensor, States]:
        """States of all steps [T, N, H] over `x` [T, N, …], and the last of each kind, for the weights of `suffix`."""

    def _sequence(self, x: Tensor, states: States | None) -> tuple[Tensor, States]:
        if isinstance(x, PackedSequence):
            raise ArgumentError(
                f"{type(self).__name__} takes no PackedSequence: pad the examples to one length, or leave this layer "
                "dense under a FixedMask"
            )
        if x.dim() not in (2, 3) or x.shape[-1] != self.input_size:
            order = "examples, steps" if self.batch_first else "steps, examples"
            raise ArgumentError(
                f"{type(self).__name__}: the input is [{order}, {self.input_size}], or one example's "
                f"[steps, {self.input_size}], got {list(x.shape)}"
            )
        batched = x.dim() == 3
        x = x.unsqueeze(1) if not batched else x.transpose(0, 1) if self.batch_first else x
        last: list[States] = []
        starts = self._starts(states, x, batched)
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = nn.functional.dropout(x, self.dropout, self.training)
            x, finals = self._layer(layer, x, starts)
            last += finals
        result = x.transpose(0, 1) if batched and self.batch_first else x if batched else x.squeeze(1)
        kinds = (torch.stack(kind) for kind in zip(*last, strict=True))
        return result, tuple(kind if batched else kind.squeeze(1) for kind in kinds)

    def _layer(self, layer: int, x: Tensor, starts: list[States]) -> tuple[Tensor, list[States]]:
        if not self.bidirectional:
            y, last = self._run(f"l{layer}", x, starts[layer])
            return y, [last]
        y, last = self._run(f"l{layer}", x, starts[2 * layer])
        back, last_back = self._run(f"l{layer}_reverse", x.flip(0), starts[2 * layer + 1])
        # joined where features lie in memory, so that examples stay innermost
        return torch.cat([y.mT, back.flip(0).mT], 1).mT, [last, last_back]

    def _starts(self, states: States | None, x: Tensor, batched: bool) -> list[States]:
        """The initial states of each layer and direction; zeros without `states`."""
        num_starts = self.num_layers * (2 if self.bidirectional else 1)
        if states is None:
            zeros = x.new_zeros((x.shape[1], self.hidden_size))
            return [(zeros,) * self._num_states] * num_starts
        expected = (num_starts, x.shape[1], self.hidden_size) if batched else (num_starts, self.hidden_size)
        for state in states:
            if state.shape != expected:
                raise ArgumentError(
                    f"{type(self).__name__}: an initial state is {list(expected)}, got {list(state.shape)}"
                )
        kinds = [state.unbind() if batched else state.unsqueeze(1).unbind() for state in states]
        return list(zip(*kinds, strict=True))

    def _parameter(self, name: str) -> Tensor:
        parameters = cast(dict[str, Any], self._parameters)
        found: Tensor = parameters[name]
        return found
