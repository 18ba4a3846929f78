import pytest
import torch
from torch import nn

from thresher.core.errors import ArgumentError
from thresher.core.example import example_input


class Images(nn.Module):
    input_shape = (3, 8, 8)

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.conv(x)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (Images(), (1, 3, 8, 8)),
        (nn.Linear(5, 2), (1, 5)),
        (nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(7, 2), nn.Linear(2, 3))), (1, 7)),
        (nn.LSTM(3, 2, batch_first=True), (1, 4, 3)),
        (nn.GRU(3, 2), (4, 1, 3)),
    ],
)
def test_ones_of_the_shape_the_model_takes(model, shape):
    example = example_input(model)
    assert example.shape == shape
    assert bool((example == 1).all())
    model(example)


@pytest.mark.parametrize("batch_first", [True, False])
def test_the_steps_reach_the_recurrent_weights(batch_first):
    model = nn.RNN(3, 2, batch_first=batch_first)
    model(example_input(model))[0].sum().backward()
    assert bool(model.weight_hh_l0.grad.any())


def test_the_models_own_type_and_device_are_taken():
    assert example_input(nn.Linear(2, 2, dtype=torch.float64)).dtype is torch.float64
    assert example_input(nn.Linear(2, 2, device="meta")).device.type == "meta"


def test_a_given_batch_is_cut_to_its_first_example():
    given = torch.arange(12.0).reshape(4, 3)
    assert example_input(nn.Conv2d(1, 1, 1), given).tolist() == [[0.0, 1.0, 2.0]]
    assert example_input(Images(), given).shape == (1, 3)
    tokens = torch.tensor([[5, 6], [7, 8]])
    assert example_input(nn.Embedding(9, 2), tokens).tolist() == [[5, 6]]


@pytest.mark.parametrize(
    "model", [nn.Conv2d(1, 1, 1), nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2)), nn.Embedding(5, 2)]
)
def test_a_model_that_does_not_tell_asks_for_an_example(model):
    with pytest.raises(ArgumentError, match=f"the input shape of {type(model).__name__} is not known: pass example="):
        example_input(model)


def test_a_model_without_parameters_has_no_device_to_look_on():
    with pytest.raises(ArgumentError, match="ReLU has no parameters"):
        example_input(nn.ReLU())
