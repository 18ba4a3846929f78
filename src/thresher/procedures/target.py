"""What pruning aims at: how many weights each tensor keeps at any point of the schedule."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from thresher.allocations import Allocation, Global, PerTensor
from thresher.allocations.apportion import available
from thresher.core.errors import ArgumentError
from thresher.core.mask import Mask
from thresher.core.topk import check_sparsity, kept_count
from thresher.patterns import Pattern
from thresher.schedules import Schedule


@dataclass(frozen=True)
class Target:
    """A final sparsity, of the whole or per tensor, and how it is divided.

    total: weights in all, protected ones among them. fixed: weights kept in protected tensors.
    sparsity: of the whole, or per tensor.
    """

    total: int
    fixed: int
    sparsity: float | Mapping[str, float]
    allocation: Allocation

    @classmethod
    def of(
        cls,
        start: Mask,
        protected: frozenset[str],
        sparsity: float | Mapping[str, float] | None,
        allocation: Allocation | None,
        pattern: Pattern,
    ) -> "Target":
        """The target that the arguments of `prune` mean, beginning at `start`.

        Raises ArgumentError where they contradict each other, or ask for more than `start` has left.
        """
        total = start.total
        fixed = sum(int(start[name].sum()) for name in protected)
        if pattern.fixed_density is not None:
            sparsity = _of_pattern(1.0 - pattern.fixed_density, sparsity, allocation, start, protected)
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
            for name, share in PerTensor(sparsity).sparsities.items():
                # an n:m group that a starting mask has emptied stays so: n of m is the most, not the least
                asked = pattern.fixed_density is None and name in start
                if asked and kept_count(start[name].numel(), share) > int(start[name].sum()):
                    raise ArgumentError(
                        f"sparsity {share} of {name} keeps more than the {int(start[name].sum())} weights that start= "
                        "has left there: ask for more sparsity"
                    )
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
        if kept > start.kept:
            raise ArgumentError(
                f"sparsity {sparsity} keeps {kept} weights, but start= has only {start.kept} left: ask for more"
            )
        return cls(total, fixed, check_sparsity(sparsity), Global() if allocation is None else allocation)

    def counts(self, scores: Mapping[str, Tensor], schedule: Schedule, progress: float) -> dict[str, int]:
        """Kept counts at `progress` for the tensors in `scores`, the unprotected ones.

        No more is asked for than is left: on the way a starting mask may be ahead of the schedule, and blocks may
        have been rounded down in the round before.
        """
        left = available(scores)
        if isinstance(self.sparsity, Mapping):
            present = PerTensor({n: schedule.at(progress, s) for n, s in self.sparsity.items()})
            kept = sum(kept_count(s.numel(), present.sparsities.get(n, 0.0)) for n, s in scores.items())
            counts = present.counts(scores, kept)
            return {n: min(count, left[n]) for n, count in counts.items()}
        kept = kept_count(self.total, schedule.at(progress, self.sparsity)) - self.fixed
        return self.allocation.counts(scores, min(kept, sum(left.values())))


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
