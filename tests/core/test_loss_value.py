import pytest
import torch
from torch.nn.functional import cross_entropy

from thresher.core.errors import ArgumentError, DataError
from thresher.core.loss_value import loss_value

OUTPUTS = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def test_one_number_is_handed_on():
    targets = torch.tensor([0, 1, 2, 0])
    assert torch.equal(loss_value(cross_entropy, OUTPUTS, targets), cross_entropy(OUTPUTS, targets))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda o, t: o.sum(1), r"shape \(4,\).*reduction='mean'"),
        (lambda o, t: float(o.sum()), "float"),
        (lambda o, t: None, "NoneType"),
    ],
)
def test_anything_else_is_refused(loss, message):
    with pytest.raises(ArgumentError, match=message):
        loss_value(loss, OUTPUTS, torch.zeros(4, dtype=torch.int64))


def test_one_element_of_any_shape_is_a_number():
    assert loss_value(lambda o, t: o.sum().reshape(1, 1), OUTPUTS, torch.zeros(4)).shape == ()


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [-1, 0, 1, 2]])
def test_labels_the_model_does_not_know(labels):
    with pytest.raises(DataError, match=rf"\[0, 3\).*from {min(labels)} to {max(labels)}"):
        loss_value(cross_entropy, OUTPUTS, torch.tensor(labels))


def test_other_failures_pass_as_they_are():
    with pytest.raises(RuntimeError, match="multiplied"):
        loss_value(lambda o, t: o @ o, OUTPUTS, torch.tensor([0, 1, 2, 0]))
    with pytest.raises(RuntimeError, match="size"):
        loss_value(lambda o, t: o + torch.zeros(7), OUTPUTS, OUTPUTS)
