"""A mask: which weights are kept, as data, keyed by parameter name."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from thresher.core import mask_file
from thresher.core.errors import ArgumentError, MaskMismatchError


class Mask(Mapping[str, Tensor]):
    """Parameter name → bool tensor, true where the weight is kept.

    Parameters that are not in the mask are not its concern: they stay dense. A mask owns its tensors and is
    not changed after it is made.

    >>> mask = Mask({"fc.weight": torch.tensor([[True, False], [False, False]])})
    >>> mask.kept, mask.total, mask.sparsity
    (1, 4, 0.75)
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            if not isinstance(tensor, Tensor) or tensor.dtype is not torch.bool:
                came = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
                raise ArgumentError(f"a mask holds bool tensors: {name} came as {came}")
        self._tensors = {name: tensor.detach().clone() for name, tensor in tensors.items()}

    @classmethod
    def full(cls, parameters: Mapping[str, Tensor]) -> "Mask":
        """The mask that keeps every weight of `parameters`."""
        return cls({name: torch.ones_like(p, dtype=torch.bool) for name, p in parameters.items()})

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __eq__(self, other: object) -> bool:
        """Same names, shapes and bits; order and device do not matter."""
        if not isinstance(other, Mask):
            return NotImplemented
        return self.keys() == other.keys() and all(
            torch.equal(tensor.cpu(), other[name].cpu()) for name, tensor in self.items()
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Mask({len(self)} tensors, {self.kept} of {self.total} kept, sparsity {self.sparsity:.4f})"

    @property
    def counts(self) -> dict[str, int]:
        """Kept weights per tensor."""
        return {name: int(tensor.sum()) for name, tensor in self.items()}

    @property
    def kept(self) -> int:
        """Kept weights in all."""
        return sum(self.counts.values())

    @property
    def total(self) -> int:
        """Weights in all, kept and removed."""
        return sum(tensor.numel() for tensor in self.values())

    @property
    def sparsity(self) -> float:
        """Fraction removed of all weights under the mask, in [0, 1]; 0 for a mask over nothing."""
        return 1.0 - self.kept / self.total if self.total else 0.0

    @property
    def sparsities(self) -> dict[str, float]:
        """Fraction removed per tensor; 0 for an empty tensor."""
        return {n: 1.0 - int(t.sum()) / t.numel() if t.numel() else 0.0 for n, t in self.items()}

    def overlap(self, other: "Mask") -> float:
        """Kept by both / kept by either (Jaccard), in [0, 1]; 1 if neither keeps anything.

        Raises MaskMismatchError if names or shapes differ.
        """
        self.require_like(other)
        both = sum(int((t & other[n].to(t.device)).sum()) for n, t in self.items())
        either = sum(int((t | other[n].to(t.device)).sum()) for n, t in self.items())
        return both / either if either else 1.0

    def hamming(self, other: "Mask") -> int:
        """Number of weights on which the two masks disagree; raises MaskMismatchError if shapes differ."""
        self.require_like(other)
        return sum(int((t ^ other[n].to(t.device)).sum()) for n, t in self.items())

    def __and__(self, other: "Mask") -> "Mask":
        """The mask of what both keep; raises MaskMismatchError if names or shapes differ."""
        self.require_like(other)
        return Mask({n: t & other[n].to(t.device) for n, t in self.items()})

    def shuffled(self, generator: torch.Generator) -> "Mask":
        """As many kept weights in every tensor, at places drawn from `generator` (on the CPU).

        Source: the sanity check "Shuffle" of Frankle, Dziugaite, Roy, Carbin (2021), section 5.
        """
        return Mask(
            {
                name: keep.flatten()[torch.randperm(keep.numel(), generator=generator).to(keep.device)].view(keep.shape)
                for name, keep in self.items()
            }
        )

    def to(self, device: torch.device | str) -> "Mask":
        """The same mask on `device`."""
        return Mask({name: tensor.to(device) for name, tensor in self.items()})

    def parameters_of(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """The parameters of `model` that this mask is about, by name, in the mask's order.

        Raises MaskMismatchError, listing every name that is missing and every shape that differs.
        """
        own = dict(model.named_parameters(remove_duplicate=False))
        self._require({n: p.shape for n, p in own.items()}, type(model).__name__)
        return {name: own[name] for name in self}

    def apply_(self, model: nn.Module) -> None:
        """Zero the removed weights of `model` in place, whatever they hold (``inf·0`` would be NaN)."""
        with torch.no_grad():
            for name, parameter in self.parameters_of(model).items():
                parameter.masked_fill_(~self[name].to(parameter.device), 0.0)

    def require_like(self, other: Mapping[str, Tensor]) -> None:
        """Raise MaskMismatchError unless `other` has the same names and shapes."""
        self._require({n: t.shape for n, t in other.items()}, "the other mask")
        extra = [n for n in other if n not in self]
        if extra:
            raise MaskMismatchError(f"names that only the other mask has: {', '.join(extra)}")

    def _require(self, shapes: Mapping[str, torch.Size], owner: str) -> None:
        wrong = [f"{n} is not in {owner}" for n in self if n not in shapes]
        wrong += [
            f"{n} is {tuple(t.shape)} in the mask, {tuple(shapes[n])} in {owner}"
            for n, t in self.items()
            if n in shapes and shapes[n] != t.shape
        ]
        if wrong:
            raise MaskMismatchError(f"the mask is for another model: {'; '.join(wrong)}")

    def save(self, path: Path | str) -> None:
        """Write the mask to `path`, one bit a weight, as a safetensors file; whole or not at all."""
        mask_file.write(self._tensors, path)

    @classmethod
    def load(cls, path: Path | str) -> "Mask":
        """The mask in `path`; nothing is executed. Raises FileFormatError if it is cut short or foreign."""
        return cls(mask_file.read(path))
