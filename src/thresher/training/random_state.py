"""torch's global random state, which dropout draws from, as a part of a checkpoint."""

from typing import Any

import torch


class RandomState:
    """The state of torch's global generators: the CPU's, and that of `device` if it is a CUDA device.

    Training draws from them only where the model does (dropout). Loading sets them, because the resumed run must
    draw what the interrupted one would have drawn.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None

    def state_dict(self) -> dict[str, Any]:
        """The states as byte tensors."""
        cuda = torch.cuda.get_rng_state(self._cuda) if self._cuda else None
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set the generators; raises RuntimeError for a state that is none."""
        torch.set_rng_state(state["cpu"])
        if self._cuda:
            torch.cuda.set_rng_state(state["cuda"], self._cuda)
