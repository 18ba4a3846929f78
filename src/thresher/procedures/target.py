"""What pruning aims at: how many weights each tensor keeps at any point of the schedule."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from thresher.allocations import Allocation, Global, PerTensor
from thresher.allocations.apportion import available
from thresher.core.errors import ArgumentError
from thresher.core.topk import check_sparsity, kept_count
from thresher.patterns import Pattern
from thresher.schedules import Schedule


@dataclass(frozen=True)
class Target:
    """A final sparsity, of the whole or per tensor, and how it is divided.

    total: weights in all, protected ones among them. fixed: weights in protected tensors.
    sparsity: of the whole, or per tensor.
    """

    total: int
    fixed: int
    sparsity: float | Mapping[str, float]
    allocation: Allocation

    @classmethod
    def of(
        cls,
        tensors: Mapping[str, Tensor],
        protected: frozenset[str],
        sparsity: float | Mapping[str, float] | None,
        allocation: Allocation | None,
        pattern: Pattern,
    ) -> "Target":
        """The target that the arguments of `prune` mean; ArgumentError where they contradict each other."""
        total = sum(tensor.numel() for tensor in tensors.values())
        fixed = sum(tensors[name].numel() for name in protected)
        if pattern.fixed_density is not None:
            sparsity = _of_pattern(1.0 - pattern.fixed_density, sparsity, allocation, tensors, protected)
            allocation = None
        elif isinstance(allocation, PerTensor):
            if sparsity is not None:
                raise ArgumentError("PerTensor carries its own sparsities: leave sparsity= out")
            sparsity, allocation = allocation.sparsities, None
        if isinstance(sparsity, Mapping):
            if allocation is not None:
                raise ArgumentError("sparsity per tensor is an allocation itself: leave allocation= out")
            clash = sorted(protected & sparsity.keys())
            if clash:
                raise ArgumentError(f"both protected and given a sparsity: {', '.join(clash)}")
            return cls(total, fixed, dict(PerTensor(sparsity).sparsities), Global())
        if sparsity is None:
            raise ArgumentError("sparsity= is missing: the fraction of weights to remove, in [0, 1)")
        kept = kept_count(total, sparsity)
        if kept == 0:
            raise ArgumentError(f"sparsity {sparsity} of {total} weights rounds to none kept: ask for less")
        if kept < fixed:
            raise ArgumentError(
                f"sparsity {sparsity} keeps {kept} of {total} weights, but the protected tensors alone hold "
                f"{fixed}: protect fewer or ask for less"
            )
        return cls(total, fixed, check_sparsity(sparsity), Global() if allocation is None else allocation)

    def counts(self, scores: Mapping[str, Tensor], schedule: Schedule, progress: float) -> dict[str, int]:
        """Kept counts at `progress` for the tensors in `scores`, the unprotected ones.

        On the way no more is asked for than a starting mask left; at the end that is an ArgumentError.
        """
        left = available(scores)
        if isinstance(self.sparsity, Mapping):
            present = PerTensor({n: schedule.at(progress, s) for n, s in self.sparsity.items()})
            kept = sum(kept_count(s.numel(), present.sparsities.get(n, 0.0)) for n, s in scores.items())
            counts = present.counts(scores, kept)
            return {n: min(count, left[n]) for n, count in counts.items()}
        kept = kept_count(self.total, schedule.at(progress, self.sparsity)) - self.fixed
        return self.allocation.counts(scores, min(kept, sum(left.values())) if progress < 1 else kept)


def _of_pattern(
    implied: float,
    sparsity: float | Mapping[str, float] | None,
    allocation: Allocation | None,
    tensors: Mapping[str, Tensor],
    protected: frozenset[str],
) -> dict[str, float]:
    if allocation is not None and not isinstance(allocation, Global):
        raise ArgumentError("an n:m pattern keeps the same share of every tensor: leave allocation= out")
    if sparsity is not None and (isinstance(sparsity, Mapping) or abs(check_sparsity(sparsity) - implied) > 1e-9):
        raise ArgumentError(
            f"the n:m pattern removes {implied:.6g} of every tensor it covers: leave sparsity= out or give that; "
            f"got {sparsity}"
        )
    return {name: implied for name in tensors if name not in protected}
