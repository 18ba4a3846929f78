"""What a model is seen to do with its layers."""

import pytest
import torch
from torch import nn

import thresher as th
from thresher.core.errors import ArgumentError
from thresher.layers.calls import calls_of


class Rows(nn.Module):
    """A layer used three times, one never, one by name, one on a packed sequence."""

    def __init__(self):
        super().__init__()
        self.twice, self.unused, self.norm = nn.Linear(6, 6), nn.Linear(2, 2), nn.BatchNorm1d(6)
        self.packed, self.named = nn.LSTM(6, 3, batch_first=True), nn.Linear(6, 6)

    def forward(self, x):
        x = self.norm(self.twice(self.twice(x[:, 0])))
        x = self.named(input=x)
        rows = self.twice(x[:, None].expand(-1, 5, -1))
        packed = nn.utils.rnn.pack_padded_sequence(rows, torch.full((len(rows),), 5), batch_first=True)
        return self.packed(packed)


def test_every_use_is_seen_in_the_order_of_the_first_for_one_example():
    net = Rows()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    calls = calls_of(net, torch.randn(9, 2, 6))
    assert list(calls) == [net.twice, net.named, net.packed]
    assert calls[net.twice] == [
        (torch.Size([1, 6]), torch.Size([1, 6]), False),  # nobody wants the gradient of the data
        (torch.Size([1, 6]), torch.Size([1, 6]), True),
        (torch.Size([1, 5, 6]), torch.Size([1, 5, 6]), True),
    ]
    assert calls[net.named] == calls[net.packed] == []
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.training
    assert not any(module._forward_hooks for module in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_gradients_are_wanted_behind_what_is_trained_whatever_the_mode_around():
    net = nn.Sequential(nn.Linear(3, 3).requires_grad_(False), nn.Linear(3, 3), nn.Linear(3, 3))
    for mode in (torch.no_grad(), torch.enable_grad(), torch.inference_mode()):
        with mode:
            assert [uses[0].for_inputs for uses in calls_of(net, None).values()] == [False, False, True]


def test_the_first_tensor_of_a_tuple_is_the_output_and_one_bad_use_spoils_the_others():
    lstm = nn.LSTM(4, 5)
    assert calls_of(lstm, torch.zeros(7, 2, 4))[lstm] == [(torch.Size([7, 1, 4]), torch.Size([7, 1, 5]), False)]
    net = nn.Sequential(nn.Linear(3, 3))
    net.forward = lambda x: net[0](input=net[0](x))
    assert calls_of(net, None) == {net[0]: []}
    net.forward = lambda x: net[0](net[0](input=x))
    assert calls_of(net, None) == {net[0]: []}


@pytest.mark.parametrize("name", ["resnet-8", "lstm-s"])
def test_models_of_the_table_need_no_example(name):
    net = th.models.build(name)
    weights = [m for m in net.modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.LSTM)]
    calls = calls_of(net, None)
    assert calls.keys() == set(weights)
    assert all(calls.values())


def test_a_model_that_does_not_tell_its_input_asks_for_an_example():
    with pytest.raises(ArgumentError, match="pass example="):
        calls_of(nn.Conv2d(3, 4, 3), None)
