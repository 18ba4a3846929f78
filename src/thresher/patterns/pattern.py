"""What a pattern is: which shapes may go."""

from typing import Protocol

from torch import Tensor


class Pattern(Protocol):
    """Turns the scores of one tensor and a count into a mask of an allowed shape."""

    @property
    def fixed_density(self) -> float | None:
        """The fraction of every tensor the pattern keeps whatever is asked for; None if it follows the count."""
        ...

    def pooled(self, scores: Tensor, name: str = "scores") -> Tensor:
        """Scores shaped like the input in which all weights that can only go together are equal."""
        ...

    def mask(self, scores: Tensor, kept: int, name: str = "scores") -> Tensor:
        """Bool tensor shaped like `scores`: the best `kept` weights, as nearly as the pattern allows.

        Ties go to the lower index. Raises ArgumentError if the shape does not admit the pattern or `kept` is not
        in [0, numel], and NonFiniteError for a NaN score; both name the tensor.
        """
        ...
