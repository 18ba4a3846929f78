import torch
from torch import nn

from thresher.bench.memory import held


def stepped(module, inputs, **settings):
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, **settings)
    module(inputs).sum().backward()
    optimizer.step()
    return optimizer


def test_a_dense_layer_holds_its_parameters_three_times():
    module = nn.Linear(10, 7)
    optimizer = stepped(module, torch.randn(2, 10), momentum=0.9)
    size = 4 * (70 + 7)
    assert held(module, optimizer, nn.Linear(10, 7)) == {
        "parameters": size,
        "gradients": size,
        "optimizer": size,
        "indices": 0,
        "total": 3 * size,
    }


def test_without_momentum_the_optimizer_holds_nothing():
    module = nn.Linear(10, 7)
    assert held(module, stepped(module, torch.randn(2, 10)), module)["optimizer"] == 0


def test_buffers_count_as_indices_only_beyond_those_of_the_dense_model():
    dense = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    module[0].register_buffer("index", torch.zeros(5, dtype=torch.int32), persistent=False)
    optimizer = stepped(module, torch.randn(3, 4))
    assert held(module, optimizer, dense)["indices"] == 5 * 4


def test_what_shares_memory_counts_once_and_a_view_counts_what_it_keeps_alive():
    module = nn.Module()
    memory = torch.zeros(100)
    module.one, module.other = nn.Parameter(memory[:10]), nn.Parameter(memory[10:20])
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    assert held(module, optimizer, nn.Module())["parameters"] == 400
