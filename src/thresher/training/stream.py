"""What training needs of its batches."""

from typing import Any, Protocol

from thresher.core import Batch


class TrainingStream(Protocol):
    """Endless training batches that can be continued: after `load_state_dict(state)` come the batches that came
    after the `state_dict()` that gave `state`. The state holds tensors, numbers, strings and containers only.
    """

    @property
    def steps_per_epoch(self) -> int: ...

    def next_batch(self) -> Batch: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> object: ...
