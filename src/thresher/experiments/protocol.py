"""The published training protocol for each data set, as recipe fields."""

from typing import Any

# Thesis section 3.5 (Lee 2021): batch 100 for MNIST, 128 for CIFAR with flips and shifts; momentum 0.9, learning
# rate 0.1 decayed by 0.1, weight decay 0.0005 throughout. Budgets are ours, for a desk: MNIST 20 epochs where the
# thesis trains 80k iterations (148 epochs), CIFAR 30 where it trains 100k to 150k.
_MNIST: dict[str, Any] = {"batch_size": 100, "budget": "20ep"}
_CIFAR: dict[str, Any] = {"batch_size": 128, "budget": "30ep", "augment": True}

PROTOCOLS: dict[str, dict[str, Any]] = {
    "mnist": _MNIST,
    "fashion-mnist": _MNIST,
    "idx": _MNIST,
    "cifar-10": _CIFAR,
    "cifar-100": _CIFAR,
    # thesis appendix 4.B: batches of 200; the augmentation is that of CIFAR
    "tiny-imagenet": {"batch_size": 200, "budget": "30ep", "augment": True},
    # 1,300 images of 8 × 8: small batches, so that an epoch has enough steps
    "digits": {"batch_size": 32, "budget": "60ep", "learning_rate": 0.05, "evaluate_every": "2ep"},
}


def protocol(data: str) -> dict[str, Any]:
    """The recipe fields that go with `data`; empty for a data set without a row."""
    return dict(PROTOCOLS.get(data, {}))
