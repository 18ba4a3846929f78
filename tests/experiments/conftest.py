"""A recipe small enough to run many times."""

import pytest

from thresher.experiments import Recipe


@pytest.fixture
def small() -> Recipe:
    return Recipe(
        data="digits",
        model="lenet-300-100",
        method="snip",
        sparsity=0.9,
        engine="masked",  # "auto" depends on the machine
        budget="30it",
        batch_size=32,
        evaluate_every="8it",
        learning_rate=0.05,
    )
