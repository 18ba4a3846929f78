"""Numbers that need no training, computed once and kept beside the runs."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from thresher.core.errors import FileFormatError
from thresher.core.files import write_text_atomically

Argument = str | int | float | tuple[float, ...]


@dataclass(frozen=True)
class Computation:
    """`function(seed=…, data_dir=…, download=…, **arguments)`, a dict of named numbers.

    arguments: (name, value) pairs. data: the data set that is read, None if none must be there.
    """

    function: Callable[..., Mapping[str, float]]
    arguments: tuple[tuple[str, Argument], ...]
    data: str | None = None

    @property
    def digest(self) -> str:
        """Hexadecimal digest of the function's name and its arguments."""
        named = [f"{self.function.__module__}.{self.function.__name__}", self.arguments]
        return hashlib.sha256(json.dumps(named).encode()).hexdigest()

    def file(self, store: Path, seed: int) -> Path:
        """Where the numbers for `seed` are kept: out of the way of the runs in `store`."""
        return store / ".computed" / f"{self.function.__name__}-{self.digest[:12]}-seed{seed}.json"

    def stored(self, store: Path, seed: int) -> dict[str, float] | None:
        """The numbers that were computed before, or None; FileFormatError if the file is damaged."""
        file = self.file(store, seed)
        if not file.exists():
            return None
        try:
            numbers: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))["numbers"]
        except (ValueError, KeyError, TypeError) as error:
            raise FileFormatError(
                f"{file} holds no computed numbers ({error}): delete it to compute them anew"
            ) from error
        return numbers

    def run(self, store: Path, seed: int, data_dir: Path | str | None, download: bool) -> dict[str, float]:
        """The numbers for `seed`, from the store or computed now and stored."""
        numbers = self.stored(store, seed)
        if numbers is None:
            numbers = dict(self.function(seed=seed, data_dir=data_dir, download=download, **dict(self.arguments)))
            content = {"function": self.function.__name__, "arguments": dict(self.arguments), "numbers": numbers}
            write_text_atomically(self.file(store, seed), json.dumps(content, allow_nan=False, indent=1) + "\n")
        return numbers
