"""One row of the table of models."""

from collections.abc import Callable
from dataclasses import dataclass

from thresher.models.classifier import ImageClassifier

Builder = Callable[[tuple[int, ...], int], ImageClassifier]


@dataclass(frozen=True)
class Architecture:
    """How a named model is made: `builder` of (input_shape, num_classes), the published defaults, the source."""

    builder: Builder
    input_shape: tuple[int, ...]
    num_classes: int
    source: str
