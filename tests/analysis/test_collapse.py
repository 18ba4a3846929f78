"""Collapse against searched graphs, enumerated paths, path sums in float64, and Boolean recurrences."""

import copy
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from thresher.analysis import collapse
from thresher.core import Mask, ThresherError, generator
from thresher.core.errors import MaskMismatchError

SEEDS = st.integers(0, 2**20)
SPARSITIES = st.floats(0.2, 0.95)


def mlp(widths, bias=True):
    layers = [m for a, b in itertools.pairwise(widths) for m in (nn.Linear(a, b, bias=bias), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def enumerate_paths(matrices, layer=0, node=None):
    """Every input→output path of a chain of [out, in] Boolean matrices, as lists of (layer, out, in)."""
    if layer == len(matrices):
        yield []
        return
    for source in range(matrices[layer].shape[1]) if node is None else [node]:
        for target in np.flatnonzero(matrices[layer][:, source]):
            for rest in enumerate_paths(matrices, layer + 1, target):
                yield [(layer, target, source), *rest]


@settings(max_examples=60, deadline=None)
@given(widths=st.lists(st.integers(1, 4), min_size=2, max_size=5), sparsity=SPARSITIES, seed=SEEDS)
def test_multilayer_perceptrons_against_every_path(draw_mask, widths, sparsity, seed):
    model = mlp(widths)
    mask = draw_mask(model, sparsity, seed)
    matrices = [mask[name].numpy() for name in mask]
    on_path = [np.zeros_like(matrix) for matrix in matrices]
    paths = list(enumerate_paths(matrices))
    for path in paths:
        for layer, target, source in path:
            on_path[layer][target, source] = True
    found = collapse(model, mask)
    assert [found.effective[name].tolist() for name in mask] == [m.tolist() for m in on_path]
    assert found.disconnected == (not paths)
    assert found.effective_kept == sum(m.sum() for m in on_path)
    assert found.effective_sparsity == pytest.approx(1 - found.effective_kept / mask.total)
    assert found.collapsed_layers == tuple(name for name in mask if not mask[name].any())


class ConvNet(nn.Module):
    def __init__(self, stride, dilation, groups, padding):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, stride=stride, padding=padding, dilation=dilation)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 2, groups=groups, bias=False)
        self.back = nn.ConvTranspose2d(4, 2, 2, stride=2, padding=1, groups=groups)
        self.head = nn.Linear(2 * 3 * 3, 3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.first(x)), inplace=True), 2, 1)
        x = F.gelu(self.second(x))
        x = F.interpolate(self.back(x), size=(3, 3), mode="nearest")
        return self.head(F.dropout(x, training=self.training).flatten(1))


def write_out(graph, model, size):
    inputs = graph.nodes(2, size, size)
    x = graph.conv2d("first.weight", model.first, inputs)
    x = graph.pool2d(2, 1, x, (x.shape[1] - 1, x.shape[2] - 1))
    x = graph.conv2d("second.weight", model.second, x)
    x = graph.conv_transpose2d("back.weight", model.back, x)
    # nearest: output i reads input floor(i · in / out)
    rows = [i * x.shape[1] // 3 for i in range(3)]
    return inputs, graph.linear("head.weight", model.head.weight, np.ravel(x[:, rows][:, :, rows]))


@settings(max_examples=25, deadline=None)
@given(
    stride=st.integers(1, 2), dilation=st.integers(1, 2), groups=st.sampled_from([1, 2]),
    padding=st.integers(0, 2), sparsity=st.floats(0.5, 0.97), seed=SEEDS,
)  # fmt: skip
def test_convolutions_against_the_graph_of_all_positions(
    new_graph, draw_mask, stride, dilation, groups, padding, sparsity, seed
):
    graph, model, size = new_graph(), ConvNet(stride, dilation, groups, padding), 9
    mask = draw_mask(model, sparsity, seed)
    inputs, outputs = write_out(graph, model, size)
    graph.check(collapse(model, mask, torch.zeros(1, 2, size, size)), mask, inputs, outputs)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.one, self.two = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x):
        return x + self.two(torch.relu(self.one(torch.relu(x))))


@settings(max_examples=30, deadline=None)
@given(sparsity=SPARSITIES, seed=SEEDS, blocks=st.integers(1, 4))
def test_residual_blocks_against_the_graph(new_graph, draw_mask, sparsity, seed, blocks):
    model = nn.Sequential(nn.Linear(3, 4), *(Block(4) for _ in range(blocks)), nn.Linear(4, 2))
    graph, mask = new_graph(), draw_mask(model, sparsity, seed)
    inputs = graph.nodes(3)
    x = graph.linear("0.weight", model[0].weight, inputs)
    for i in range(1, blocks + 1):
        branch = graph.linear(f"{i}.one.weight", model[i].one.weight, x)
        branch = graph.linear(f"{i}.two.weight", model[i].two.weight, branch)
        total = graph.nodes(4)
        x = graph.join(branch, graph.join(x, total))
    outputs = graph.linear(f"{blocks + 1}.weight", model[-1].weight, x)
    graph.check(collapse(model, mask), mask, inputs, outputs)


def test_an_empty_layer_disconnects_a_chain_but_not_a_residual_branch():
    chain, residual = mlp([4, 4, 4, 2]), nn.Sequential(nn.Linear(4, 4), Block(4), nn.Linear(4, 2))
    broken = Mask.full({n: p for n, p in chain.named_parameters() if "weight" in n})
    broken = Mask({**broken, "2.weight": torch.zeros(4, 4, dtype=torch.bool)})
    found = collapse(chain, broken)
    assert found.disconnected
    assert found.collapsed_layers == ("2.weight",)
    assert found.effective_kept == 0
    assert found.units_without_input == {"0.weight": (), "2.weight": (0, 1, 2, 3), "4.weight": (0, 1)}
    assert found.units_without_output == {"0.weight": (0, 1, 2, 3), "2.weight": (), "4.weight": ()}
    branch = Mask.full({n: p for n, p in residual.named_parameters() if "weight" in n})
    branch = Mask({**branch, "1.one.weight": torch.zeros(4, 4, dtype=torch.bool)})
    found = collapse(residual, branch)
    assert not found.disconnected
    assert found.effective.counts == {"0.weight": 16, "1.one.weight": 0, "1.two.weight": 0, "2.weight": 8}


def test_against_path_sums_in_float64(draw_mask):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 5, 3, padding=1, bias=False), nn.Conv2d(5, 5, 3, padding=1, bias=False)
            self.c = nn.Linear(5, 3, bias=False)

        def forward(self, x):
            x = self.a(x)
            return self.c((x + self.b(x)).mean((2, 3)))

    for seed in range(5):
        model = Net()
        mask = draw_mask(model, 0.9, seed)
        sums = copy.deepcopy(model).double()
        with torch.no_grad():
            for name, p in sums.named_parameters():
                p.copy_(mask[name])
        sums(torch.ones(1, 2, 5, 5, dtype=torch.float64)).sum().backward()
        expected = Mask({name: mask[name] & (p.grad > 0) for name, p in sums.named_parameters()})
        assert collapse(model, mask, torch.ones(1, 2, 5, 5)).effective == expected


def test_nothing_underflows_or_overflows_in_deep_networks(draw_mask):
    depth, width = 55, 12  # 110 weight layers, as in a ResNet-110
    model = nn.Sequential(*(Block(width) for _ in range(depth)))
    mask = draw_mask(model, 0.85, 0)
    forward = [np.ones(width, dtype=bool)]
    hidden = []
    for i in range(depth):
        one, two = mask[f"{i}.one.weight"].numpy(), mask[f"{i}.two.weight"].numpy()
        hidden.append((one @ forward[-1]) > 0)
        forward.append(forward[-1] | ((two @ hidden[-1]) > 0))
    read = np.ones(width, dtype=bool)
    effective = {}
    for i in reversed(range(depth)):
        one, two = mask[f"{i}.one.weight"].numpy(), mask[f"{i}.two.weight"].numpy()
        inner = (two.T @ read) > 0
        effective[f"{i}.two.weight"] = torch.from_numpy(two & np.outer(read, hidden[i]))
        effective[f"{i}.one.weight"] = torch.from_numpy(one & np.outer(inner, forward[i]))
        read = read | ((one.T @ inner) > 0)
    assert collapse(model, mask, torch.ones(1, width)).effective == Mask(effective)


def test_more_paths_than_a_float_holds_and_less_signal():
    chain = mlp([64] * 301, bias=False)  # 64^300 paths
    halves = torch.arange(64) < 32
    block = halves[:, None] == halves
    mask = Mask({name: block for name, _ in chain.named_parameters()})
    # one half is cut at the end, where a zero meets an overflow
    mask = Mask({**mask, "598.weight": block & halves})
    expected = Mask({name: keep & halves & halves[:, None] for name, keep in mask.items()})
    assert collapse(chain, mask).effective == expected

    class Shrinking(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(300))

        def forward(self, x):
            for layer in self.layers:
                x = F.avg_pool1d(layer(x), 9, 1, 4)  # the margin is part of the mean: (4/9)^300
            return x

    shrinking = Shrinking()
    thin = Mask({f"layers.{i}.weight": torch.eye(4, dtype=torch.bool) for i in range(300)})
    assert collapse(shrinking, thin, torch.ones(1, 4)).effective == thin


def test_biases_are_no_input():
    model = mlp([2, 2, 2])
    keep = {
        "0.weight": torch.tensor([[True, True], [False, False]]),
        "0.bias": torch.tensor([True, True]),  # the second unit has its bias and nothing else
        "2.weight": torch.tensor([[True, True], [False, True]]),
        "2.bias": torch.tensor([True, False]),
    }
    found = collapse(model, Mask(keep))
    assert found.units_without_input == {"0.weight": (1,), "2.weight": (1,)}
    assert found.effective["0.bias"].tolist() == [True, False]
    assert found.effective["2.weight"].tolist() == [[True, False], [False, False]]
    assert found.effective["2.bias"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("norm", "shape"),
    [(nn.BatchNorm2d(3), (1, 3, 4, 4)), (nn.GroupNorm(3, 3), (1, 3, 4, 4)), (nn.LayerNorm(3), (1, 5, 3))],
)
def test_a_removed_scale_cuts_its_channel(norm, shape):
    keep = torch.tensor([True, False, True])
    with torch.no_grad():
        norm.weight.zero_()  # a scale that starts at 0 is present all the same
    model = nn.Sequential(norm, nn.Flatten(), nn.Linear(int(np.prod(shape)), 2))
    found = collapse(model, Mask({"0.weight": keep, "0.bias": torch.ones(3, dtype=torch.bool)}), torch.ones(shape))
    assert not found.disconnected
    assert found.effective["0.weight"].tolist() == keep.tolist()
    assert found.effective["0.bias"].tolist() == keep.tolist()


def test_parameters_outside_the_mask_are_present_whatever_they_hold():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()  # as a residual branch's last scale often starts
    mask = Mask({"2.weight": torch.eye(2, dtype=torch.bool)})
    assert collapse(model, mask).effective == mask


def test_tokens_may_ask_for_every_row():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2, bias=False))
    table = torch.zeros(5, 3, dtype=torch.bool)
    table[4, 0] = table[1, 2] = True
    mask = Mask({"0.weight": table, "1.weight": torch.tensor([[True, True, False], [False, True, False]])})
    found = collapse(model, mask, torch.zeros(1, 7, dtype=torch.int64))
    assert found.effective["0.weight"].nonzero().tolist() == [[4, 0]]
    assert found.effective["1.weight"].nonzero().tolist() == [[0, 0]]
    assert found.units_without_input["1.weight"] == (1,)


def test_a_shared_weight_works_where_either_use_does():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(2, 2, bias=False)
            self.b = nn.Linear(2, 2, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x))

    for names in (["a.weight"], ["b.weight"], ["a.weight", "b.weight"]):
        mask = Mask({name: torch.tensor([[False, True], [False, False]]) for name in names})
        assert collapse(Tied(), mask).disconnected  # 1 → 0, and 0 leads nowhere
        mask = Mask({name: torch.tensor([[True, True], [False, False]]) for name in names})
        found = collapse(Tied(), mask)
        assert found.effective == mask
        assert set(found.units_without_input.values()) == {(1,)}


def test_values_and_zeros_of_the_example_do_not_matter(draw_mask):
    model = ConvNet(1, 1, 1, 1)
    mask = draw_mask(model, 0.8, 3)
    drawn = torch.randn(4, 2, 6, 6, generator=generator(0, "x"))
    assert collapse(model, mask, torch.zeros(1, 2, 6, 6)) == collapse(model, mask, drawn)


def test_the_weights_do_not_matter_and_the_model_is_untouched(draw_mask):
    model = ConvNet(1, 1, 1, 1)
    mask = draw_mask(model, 0.8, 3)
    with torch.no_grad():
        model.second.weight.fill_(float("nan"))
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    with torch.inference_mode():  # nor does the caller's mode
        first = collapse(model, mask, torch.ones(1, 2, 6, 6))
    assert all(torch.equal(v.nan_to_num(7), before[n].nan_to_num(7)) for n, v in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert all(module.training for module in model.modules())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert first == collapse(model.double().eval(), mask, torch.ones(1, 2, 6, 6))


def test_a_mask_over_nothing_and_an_unused_weight():
    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(2, 2), nn.Linear(2, 2)
            self.none = nn.Parameter(torch.empty(0, 2))

        def forward(self, x):
            return self.used(x)

    empty = collapse(Spare(), Mask({}), torch.ones(1, 2))
    assert (empty.disconnected, empty.effective_kept, empty.effective_sparsity) == (False, 0, 0.0)
    full = Mask({name: torch.ones(2, 2, dtype=torch.bool) for name in ("used.weight", "spare.weight")})
    full = Mask({**full, "none": torch.ones(0, 2, dtype=torch.bool)})
    found = collapse(Spare(), full, torch.ones(1, 2))
    assert found.effective.counts == {"used.weight": 4, "spare.weight": 0, "none": 0}
    assert found.collapsed_layers == ()


def test_description():
    model = mlp([2, 2, 1])
    mask = Mask(
        {"0.weight": torch.tensor([[True, True], [False, False]]), "2.weight": torch.ones(1, 2, dtype=torch.bool)}
    )
    assert collapse(model, mask).describe() == (
        "connected; 3 of 4 kept weights effective (sparsity 0.3333, effective 0.5000); 1 units without input"
    )
    mask = Mask({**mask, "2.weight": torch.zeros(1, 2, dtype=torch.bool)})
    assert collapse(model, mask).describe().startswith("disconnected: no path from input to output; 0 of 2 kept")
    assert "empty layers: 2.weight" in collapse(model, mask).describe()


def test_a_foreign_mask_and_an_unknown_shape_are_refused():
    keep = torch.ones(2, 2, dtype=torch.bool)
    with pytest.raises(MaskMismatchError, match=r"other\.weight"):
        collapse(nn.Linear(2, 2), Mask({"other.weight": keep}))
    with pytest.raises(ThresherError, match="example="):
        collapse(nn.Conv2d(1, 1, 1), Mask({"weight": torch.ones(1, 1, 1, 1, dtype=torch.bool)}))
