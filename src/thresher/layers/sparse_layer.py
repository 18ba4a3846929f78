"""What every sparse layer is: kept values as 1-D parameters, where they lie as buffers, dense keys in its state."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from thresher.core.errors import ArgumentError
from thresher.layers.saved_topology import nonzeros_elsewhere, save_topologies, saved_topology
from thresher.ops import Topology


class SparseLayer(nn.Module, ABC):
    """A layer that stores of each of its sparse weights only what is kept; it may have several, and dense ones too.

    A sparse weight is a Parameter of the dense weight's name, [kept], and the `Topology` of the matrix that
    ``weight.flatten(1)`` is, in buffers that move with the layer but are no keys of its state.
    ``state_dict()`` has the dense layer's keys and shapes, removed entries zero, so that checkpoints of the sparse
    and the dense model interchange. The topology goes with it as metadata, which ``torch.save`` keeps.
    ``load_state_dict`` adopts that topology; where there is none it reads the values at the layer's own, and
    counts among the errors what a dense checkpoint has elsewhere. Either way the Parameters stay the same objects.
    Raises FileFormatError if a checkpoint's topology is no such thing: no kernel sees its indices before.
    """

    def __init__(self) -> None:
        super().__init__()
        self._shapes: dict[str, torch.Size] = {}

    @classmethod
    @abstractmethod
    def supports(cls, module: nn.Module) -> bool:
        """Whether `from_dense` has a sparse form for the dense layer `module`, of the class that this one replaces."""

    @classmethod
    @abstractmethod
    def from_dense(cls, module: nn.Module, keep: Mapping[str, Tensor]) -> Self:
        """The sparse layer with the weights of `module` where `keep` (name → bool tensor) is true; copies."""

    @abstractmethod
    def to_dense(self) -> nn.Module:
        """The plain layer that computes the same, removed weights zero; copies."""

    @property
    def sparse_weights(self) -> tuple[str, ...]:
        """The names of the sparse weights."""
        return tuple(self._shapes)

    def add_sparse_weight(self, name: str, weight: Tensor, keep: Tensor) -> None:
        """Register the Parameter `name`: what `weight`, of two dimensions or more, has where `keep` is true.

        Raises ArgumentError if `keep` is not a bool tensor of the weight's shape. Cost: O(weight).
        """
        if keep.dtype != torch.bool or keep.shape != weight.shape:
            raise ArgumentError(
                f"keep of {name} is a bool tensor of the weight's shape {list(weight.shape)}: got {keep.dtype} "
                f"{list(keep.shape)}"
            )
        self._shapes[name] = weight.shape
        kept = weight.detach()[keep.to(weight.device)]
        self.register_parameter(name, nn.Parameter(kept, requires_grad=weight.requires_grad))
        for field, indices in Topology.of(keep.flatten(1).to(weight.device))._asdict().items():
            self.register_buffer(f"{name}_{field}", indices, persistent=False)

    def topology_of(self, name: str) -> Topology:
        """Where the values of the sparse weight `name` lie in ``weight.flatten(1)``."""
        buffers = cast(dict[str, Tensor], self._buffers)  # nn.Module's own look-up costs more than a small product
        return Topology(*[buffers[f"{name}_{field}"] for field in Topology._fields])

    @torch.no_grad()
    def set_topology(self, name: str, topology: Topology) -> None:
        """Put `topology` in place of that of `name`; what the values are then is the caller's to say.

        The Parameter stays the same object. If the number of kept values changes, so does its size; its gradient
        is then dropped, and an optimizer that has state for it must be made anew.
        """
        for field, indices in topology._asdict().items():
            buffer = self.get_buffer(f"{name}_{field}")
            if buffer.shape == indices.shape:  # in place: what holds the buffer (DDP, a compiled graph) sees it too
                buffer.copy_(indices)
            else:
                self.register_buffer(f"{name}_{field}", indices.to(buffer.device), persistent=False)
        parameter = self.get_parameter(name)
        if parameter.numel() != topology.kept:
            parameter.grad = None
            parameter.data = parameter.new_zeros(topology.kept)

    def keep_of(self, name: str) -> Tensor:
        """A bool tensor of the dense weight's shape, true where it is kept."""
        shape = self._shapes[name]
        positions = self.topology_of(name).positions
        return (
            torch.zeros(math.prod(shape), dtype=torch.bool, device=positions.device)
            .index_fill_(0, positions, True)
            .view(shape)
        )

    def dense(self, name: str, values: Tensor | None = None) -> Tensor:
        """The dense weight `name`: its values, or `values` [kept] in their place, and zeros. Differentiable."""
        values = self.get_parameter(name) if values is None else values
        shape = self._shapes[name]
        zeros = values.new_zeros(math.prod(shape))
        return zeros.index_put((self.topology_of(name).positions,), values).view(shape)

    def dense_parameter(self, name: str) -> nn.Parameter:
        """A new Parameter that holds the dense weight `name`; trainable if the values are."""
        return nn.Parameter(self.dense(name).detach(), requires_grad=self.get_parameter(name).requires_grad)

    def gathered(self, name: str, dense: Tensor) -> Tensor:
        """What `dense`, of the dense weight's shape, has at the kept places: [kept]."""
        return dense.reshape(-1)[self.topology_of(name).positions.to(dense.device)]

    def kept_repr(self) -> str:
        """Kept weights and sparsity for ``extra_repr``."""
        kept = sum(self.get_parameter(name).numel() for name in self._shapes)
        total = sum(math.prod(shape) for shape in self._shapes.values())
        return f"kept={kept}, sparsity={1.0 - kept / total if total else 0.0:.4g}"

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name in self._shapes:
            dense = self.dense(name)
            destination[prefix + name] = dense if keep_vars else dense.detach()
        metadata = getattr(destination, "_metadata", None)  # a caller's own dict, to be filled, has none
        if metadata is not None:
            save_topologies(metadata[prefix[:-1]], {name: self.topology_of(name) for name in self._shapes})

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        own = dict(state_dict)
        for name, shape in self._shapes.items():
            key = prefix + name
            dense = own.get(key)
            if not isinstance(dense, Tensor):
                continue  # missing, or nothing to read: torch says so below
            own[key] = self.get_parameter(name).detach()  # unless nothing is wrong with what came
            if dense.shape != shape:
                error_msgs.append(
                    f"size mismatch for {key}: copying a param with shape {dense.shape} from checkpoint, the shape in "
                    f"current model is {shape}."
                )
                continue
            topology = saved_topology(local_metadata, name, key, dense, shape)
            if topology is not None:
                self.set_topology(name, topology)
            elif elsewhere := nonzeros_elsewhere(dense, self.topology_of(name)):
                error_msgs.append(
                    f"{key}: {elsewhere} weights of the checkpoint are not zero where this sparse layer has none: load "
                    "it into the dense model and sparsify that, or zero them first"
                )
                continue
            own[key] = self.gathered(name, dense)
        super()._load_from_state_dict(own, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)


def copied(parameter: Tensor | None) -> nn.Parameter | None:
    """A Parameter of its own with the values of `parameter`, trainable if that is; None for None."""
    return None if parameter is None else nn.Parameter(parameter.detach().clone(), parameter.requires_grad)
