"""Errors counted as scikit-learn counts them."""

import pytest
import torch
from sklearn.metrics import accuracy_score

from thresher.core.errors import ArgumentError
from thresher.training.wrong import count_wrong


@pytest.mark.parametrize(("examples", "classes"), [(1, 1), (50, 2), (203, 10)])
def test_the_count_is_that_of_scikit_learn(examples, classes):
    draws = torch.Generator().manual_seed(examples)
    outputs = torch.randn(examples, classes, generator=draws, requires_grad=True)
    targets = torch.randint(classes, (examples,), generator=draws)
    right = accuracy_score(targets, outputs.detach().argmax(1), normalize=False)
    assert count_wrong(outputs, targets).item() == examples - right


def test_ties_go_to_the_lower_class():
    assert count_wrong(torch.zeros(2, 3), torch.tensor([0, 1])).item() == 1


@pytest.mark.parametrize(
    ("outputs", "targets"),
    [
        (torch.zeros(4), torch.zeros(4, dtype=torch.int64)),
        (torch.zeros(4, 2, 3), torch.zeros(4, dtype=torch.int64)),
        (torch.zeros(4, 2), torch.zeros(4, 2, dtype=torch.int64)),
        (torch.zeros(4, 2), torch.zeros(3, dtype=torch.int64)),
        (torch.zeros(4, 2), torch.zeros(4)),
    ],
)
def test_other_shapes_are_refused(outputs, targets):
    with pytest.raises(ArgumentError, match=r"class scores \[N, classes\]"):
        count_wrong(outputs, targets)
