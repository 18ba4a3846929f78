"""A tally of touches: how many examples of which data set were read for what, and how often."""

from typing import Any

import torch
from torch import Tensor

from thresher.core.touch import Touch


class Tally:
    """Adds up touches by (data set, purpose).

    Its state travels in a run's checkpoint, so that a resumed run forgets nothing it has read.

    >>> tally = Tally()
    >>> for _ in range(2):
    ...     tally(Touch("digits/train", "train", 2, torch.tensor([5, 7])))
    >>> tally.rows()
    [{'dataset': 'digits/train', 'purpose': 'train', 'count': 2, 'reads': 4, 'times': 2}]
    """

    def __init__(self) -> None:
        self._reads: dict[tuple[str, str], int] = {}
        self._seen: dict[tuple[str, str], Tensor] = {}

    def __call__(self, touch: Touch) -> None:
        """Add one touch."""
        key = (touch.dataset, touch.purpose)
        self._reads[key] = self._reads.get(key, 0) + touch.count
        if touch.indices is not None and len(touch.indices):
            indices = touch.indices.cpu()
            seen = self._seen.get(key, torch.zeros(0, dtype=torch.bool))
            needed = int(indices.max()) + 1
            if needed > len(seen):
                seen = torch.cat([seen, torch.zeros(max(needed - len(seen), len(seen)), dtype=torch.bool)])
            seen[indices] = True
            self._seen[key] = seen

    def rows(self) -> list[dict[str, Any]]:
        """One row per (data set, purpose): distinct examples, reads in all, and reads per example, rounded.

        Where the data did not say which examples they were, every read counts as another example.
        """
        rows = []
        for (dataset, purpose), reads in self._reads.items():
            seen = self._seen.get((dataset, purpose))
            count = reads if seen is None else int(seen.sum())
            rows.append(
                {
                    "dataset": dataset,
                    "purpose": purpose,
                    "count": count,
                    "reads": reads,
                    "times": round(reads / count),
                }
            )
        return rows

    def state_dict(self) -> dict[str, Any]:
        """Plain containers and tensors."""
        return {"reads": dict(self._reads), "seen": dict(self._seen)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`; what was added before is forgotten."""
        self._reads, self._seen = dict(state["reads"]), dict(state["seen"])
