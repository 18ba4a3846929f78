"""Independent generators from one seed, one per purpose, so that adding a draw moves no other."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def generator(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator whose stream depends on `seed` and `purpose` only.

    >>> a, b = generator(0, "shuffle"), generator(0, "shuffle")
    >>> bool(torch.rand(3, generator=a).equal(torch.rand(3, generator=b)))
    True
    """
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big", signed=True))


@contextmanager
def isolated_random_state(seed: int | None = None) -> Iterator[None]:
    """Inside, torch's global generators may be drawn from; afterwards they are as they were.

    With `seed` they start from it (on every device), so that what happens inside is reproducible.
    """
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=list(devices)):
        if seed is not None:
            torch.manual_seed(seed)
        yield
