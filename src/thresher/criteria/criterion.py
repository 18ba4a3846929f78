"""What a criterion is: a model and, perhaps, examples in; one score per prunable weight out."""

from collections.abc import Mapping
from typing import ClassVar, Protocol

from torch import Tensor, nn

from thresher.core.batch import Data


class Criterion(Protocol):
    """Scores weights; a higher score is kept longer, whatever sign the paper gives it.

    `reads_data` says whether `scores` looks at examples, and so needs `data`.
    """

    reads_data: ClassVar[bool]

    def scores(
        self,
        model: nn.Module,
        weights: Mapping[str, Tensor],
        data: Data | None = None,
        example: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Parameter name → scores shaped like the tensor, evaluated with `weights` in place of the model's.

        `weights` are the prunable tensors by name (`thresher.prunable`), those already removed being zero, so
        that iterative pruning is a loop of calls. `data` is read only by criteria that need examples, `example`
        only for its shape. The model, its mode, buffers, gradients and the random state come back untouched.
        """
        ...
