"""A point in training, counted in optimizer iterations, written '500it', '3ep' or '3ep50it'."""

import re
from dataclasses import dataclass

from thresher.core.errors import ArgumentError

_FORM = re.compile(r"(?:(\d+)ep)?(?:(\d+)it)?")


@dataclass(frozen=True)
class Step:
    """`epochs` whole passes over the training set, then `iterations` more optimizer steps.

    >>> Step.parse("3ep50it")
    Step(epochs=3, iterations=50)
    >>> str(Step.parse("500it")), Step.parse("2ep").at(steps_per_epoch=540)
    ('500it', 1080)
    """

    epochs: int = 0
    iterations: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.iterations < 0:
            raise ArgumentError(f"a step is not negative: got {self.epochs} epochs, {self.iterations} iterations")

    @classmethod
    def parse(cls, text: str) -> "Step":
        """The step that `text` writes; raises ArgumentError for any other form."""
        found = _FORM.fullmatch(text.strip())
        if found is None or not text.strip():
            raise ArgumentError(f"a step is written '500it', '3ep' or '3ep50it': got {text!r}")
        return cls(int(found[1] or 0), int(found[2] or 0))

    def at(self, steps_per_epoch: int) -> int:
        """The same point as a number of iterations, with `steps_per_epoch` iterations in an epoch."""
        return self.epochs * steps_per_epoch + self.iterations

    def __str__(self) -> str:
        epochs = f"{self.epochs}ep" if self.epochs else ""
        iterations = f"{self.iterations}it" if self.iterations or not self.epochs else ""
        return epochs + iterations
