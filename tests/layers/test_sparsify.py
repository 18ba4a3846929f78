"""sparsify and densify: who is swapped, what stays as it was, what goes along."""

import copy
import io
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import thresher as th
from thresher.core import Mask
from thresher.core.errors import ArgumentError, MaskMismatchError
from thresher.layers import INNERMOST, MaskedParameter, SparseConv1d, SparseConv2d, SparseLinear, densify, sparsify
from thresher.layers.gru import SparseGRU
from thresher.layers.lstm import SparseLSTM
from thresher.ops import is_batch_innermost


def random_mask(model, kept=0.3, **which):
    generator = torch.Generator().manual_seed(0)
    parameters = th.prunable(model, **which)
    return Mask({name: torch.rand(p.shape, generator=generator) < kept for name, p in parameters.items()})


def zeroed(model, mask):
    model = copy.deepcopy(model)
    mask.apply_(model)
    return model


def always(model, mask, **others):
    return sparsify(model, mask, "always", **others)


class Residual(nn.Module):
    """Batch norm, both kinds of pooling, functional calls, a residual sum, dropout, a nested block."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(8)
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(2)
        self.average = nn.AdaptiveAvgPool2d(2)
        self.fc = nn.Linear(32, 5)

    def forward(self, x):
        x = torch.relu(self.norm1(self.conv1(x)))
        x = self.block(x) + x
        x = F.avg_pool2d(F.max_pool2d(x, 3, 1, 1), 2)
        x = F.dropout(self.average(self.pool(x)), 0.0, self.training)
        return self.fc(x.flatten(1))


def assert_same(expected_model, model, x):
    """Outputs, input gradients and, by name, gradients agree."""
    mine, theirs = x.detach().requires_grad_(), x.detach().requires_grad_()
    expected, found = expected_model(theirs), model(mine)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    expected.square().sum().backward()
    found.square().sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=0, atol=1e-10)
    right = dict(expected_model.named_parameters())
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            gradient = right[f"{prefix}.{name}" if prefix else name].grad
            sparse = name in getattr(module, "sparse_weights", ())
            gradient = module.gathered(name, gradient) if sparse else gradient
            if isinstance(parameter, MaskedParameter):
                gradient = gradient * parameter.keep
            torch.testing.assert_close(parameter.grad, gradient, rtol=0, atol=1e-10)


@pytest.mark.parametrize("training", [True, False])
def test_a_network_with_everything_between_its_layers_computes_the_same(training):
    torch.manual_seed(0)
    net = Residual().double().train(training)
    mask = random_mask(net)
    fast = always(net, mask)
    assert [type(m) for m in (fast.conv1, fast.block[0], fast.fc)] == [SparseConv2d, SparseConv2d, SparseLinear]
    assert_same(zeroed(net, mask), fast, torch.randn(7, 3, 16, 16, dtype=torch.float64))
    assert all(module.training is training for module in fast.modules())


@pytest.mark.parametrize("name", ["lenet-300-100", "lenet-5-caffe", "resnet-8", "lstm-s", "gru-s", "vgg-like"])
def test_the_networks_of_the_table_compute_the_same(name):
    torch.manual_seed(0)
    shape = (3, 32, 32) if name in ("resnet-8", "vgg-like") else (1, 28, 28)
    net = th.models.build(name).double().eval()
    mask = random_mask(net, 0.1)
    fast = always(net, mask)
    x = torch.randn(2, *shape, dtype=torch.float64)
    torch.testing.assert_close(fast(x), zeroed(net, mask)(x), rtol=0, atol=1e-9)


def test_nothing_between_sparse_layers_leaves_the_layout():
    net = Residual()
    fast = always(net, random_mask(net))
    seen = []
    for name in ("conv1", "norm1", "block.0", "block.1", "block.2"):
        fast.get_submodule(name).register_forward_hook(lambda m, i, y: seen.append(is_batch_innermost(y)))
    fast(torch.randn(5, 3, 16, 16))
    assert seen == [True] * 5


def test_the_model_is_not_touched_and_no_random_number_is_drawn():
    net = Residual()
    before, random = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    fast = always(net, random_mask(net))
    densify(fast)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert type(net.conv1) is nn.Conv2d
    assert type(net.norm1) is nn.BatchNorm2d
    with torch.no_grad():
        for tensor in fast.state_dict().values():
            tensor.fill_(3)
        for parameter in fast.parameters():
            parameter.fill_(3)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_densify_gives_the_plain_network_with_zeros():
    net = Residual()
    mask = random_mask(net)
    plain = densify(always(net, mask))
    assert [(n, type(m)) for n, m in plain.named_modules()] == [(n, type(m)) for n, m in net.named_modules()]
    right = zeroed(net, mask).state_dict()
    assert list(plain.state_dict()) == list(right)
    assert all(torch.equal(value, right[key]) for key, value in plain.state_dict().items())
    assert {type(p) for p in plain.parameters()} == {nn.Parameter}


def test_strict_checkpoints_go_both_ways():
    net = Residual()
    mask = random_mask(net)
    fast, dense = always(net, mask), zeroed(Residual(), mask)
    fast.load_state_dict(dense.state_dict())
    x = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(fast.eval()(x), dense.eval()(x))
    Residual().load_state_dict(fast.state_dict())


def test_copies_pickles_and_saved_models_compute_the_same():
    net = nn.ModuleList([Residual(), nn.Conv3d(1, 1, 3)])
    fast = always(net, random_mask(net)).eval()
    buffer = io.BytesIO()
    pickle.dump(fast[1], buffer)  # Residual is local to this file, which pickle does not find by its name
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(copy.deepcopy(fast)[0](x), fast[0](x))
    buffer.seek(0)
    x = torch.randn(2, 1, 4, 4, 4)
    assert torch.equal(pickle.load(buffer)(x), fast[1](x))


def test_a_layer_by_itself_is_swapped_at_the_root():
    layer = nn.Linear(3, 2)
    fast = always(layer, Mask({"weight": torch.tensor([[True, False, False]] * 2)}))
    assert type(fast) is SparseLinear
    assert type(densify(fast)) is nn.Linear


def test_recurrent_and_one_dimensional_layers_are_swapped():
    net = nn.ModuleDict({"conv": nn.Conv1d(2, 3, 3), "lstm": nn.LSTM(3, 4), "gru": nn.GRU(3, 4, bidirectional=True)})
    fast = always(net, random_mask(net))
    assert [type(m) for m in fast.values()] == [SparseConv1d, SparseLSTM, SparseGRU]
    assert [type(m) for m in densify(fast).values()] == [nn.Conv1d, nn.LSTM, nn.GRU]
    assert [n for n, _ in fast.named_parameters()] == [n for n, _ in net.named_parameters()]
    assert fast.state_dict().keys() == net.state_dict().keys()


class Doubled(nn.Linear):
    """A subclass that computes something else."""

    def forward(self, x):
        return 2 * super().forward(x)


DENSE = {
    "Conv3d": (lambda: nn.Conv3d(2, 3, 2), lambda: torch.randn(4, 2, 3, 3, 3)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(2, 3, 2), lambda: torch.randn(4, 2, 3, 3)),
    "RNN": (lambda: nn.RNN(3, 4), lambda: torch.randn(5, 2, 3)),
    "LSTM with projection": (lambda: nn.LSTM(3, 4, proj_size=2), lambda: torch.randn(5, 2, 3)),
    "reflected padding": (
        lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"),
        lambda: torch.randn(4, 2, 5, 5),
    ),
    "subclass": (lambda: Doubled(3, 4), lambda: torch.randn(2, 3)),
    "attention": (lambda: _Attention(), lambda: torch.randn(5, 2, 4)),
    "encoder": (lambda: nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True), lambda: torch.randn(5, 2, 4)),
    "parametrized": (lambda: _parametrized(nn.Linear(3, 4)), lambda: torch.randn(2, 3)),
    "half": (lambda: nn.Linear(3, 4).bfloat16(), lambda: torch.randn(2, 3).bfloat16()),
}


class _Twice(nn.Module):
    def forward(self, weight):
        return 2 * weight


def _parametrized(layer):
    nn.utils.parametrize.register_parametrization(layer, "weight", _Twice())
    return layer


class _Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2)

    def forward(self, x):
        return self.attention(x, x, x)


def first(output):
    while isinstance(output, tuple):
        output = output[0]
    return output


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("kind", DENSE)
def test_what_has_no_sparse_form_stays_dense_and_its_removed_weights_stay_removed(kind):
    build, draw = DENSE[kind]
    torch.manual_seed(0)
    net, x = build(), draw()
    mask = random_mask(net, only=["*weight*"])
    fast = always(net, mask)
    assert [(n, type(m)) for n, m in fast.named_modules()] == [(n, type(m)) for n, m in net.named_modules()]
    assert fast.state_dict().keys() == net.state_dict().keys()
    torch.testing.assert_close(first(fast(x)), first(zeroed(net, mask)(x)))
    for module in (fast, copy.deepcopy(fast)):
        module.train()
        optimizer = torch.optim.SGD(module.parameters(), 0.01, momentum=0.9, weight_decay=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            first(module(x)).square().sum().backward()
            optimizer.step()
        for name, parameter in module.named_parameters():
            if name in mask:
                assert not parameter[~mask[name]].any(), name
                assert not torch.equal(parameter, net.get_parameter(name)), name
    with torch.no_grad():
        fast.eval()(x)  # fused paths of evaluation mode take the weights as they are
    assert {type(p) for p in densify(fast).parameters()} == {nn.Parameter}


def test_a_shared_weight_stays_shared_and_dense():
    net = nn.ModuleDict({"embedding": nn.Embedding(6, 4), "a": nn.Linear(4, 6), "b": nn.Linear(4, 6, bias=False)})
    net["a"].weight = net["embedding"].weight
    net["b"].weight = net["a"].weight
    keep = torch.rand(6, 4) < 0.5
    for name in ("embedding.weight", "b.weight"):
        fast = always(net, Mask({name: keep}))
        assert fast["embedding"].weight is fast["a"].weight
        assert fast["b"].weight is fast["a"].weight
        assert torch.equal(fast["a"].weight != 0, keep)
        assert type(fast["a"]) is nn.Linear
        plain = densify(fast)
        assert plain["embedding"].weight is plain["b"].weight
    with pytest.raises(MaskMismatchError, match=r"a\.weight is one tensor with another of the mask"):
        always(net, Mask({"embedding.weight": keep, "a.weight": ~keep}))


def test_a_layer_used_twice_is_one_layer_still():
    layer = nn.Linear(3, 3)
    net = nn.Sequential(layer, nn.ReLU(), layer).double()
    mask = Mask({"0.weight": torch.rand(3, 3) < 0.5})
    fast = always(net, mask)
    assert fast[0] is fast[2]
    assert type(fast[0]) is SparseLinear
    assert_same(zeroed(net, mask), fast, torch.randn(4, 3, dtype=torch.float64))
    plain = densify(fast)
    assert plain[0] is plain[2]


def test_masked_biases_are_held_in_sparse_layers_too():
    net = nn.Sequential(nn.Linear(3, 4), nn.LSTM(4, 5))
    mask = random_mask(net, 0.5, biases=True)
    fast = always(net, mask)
    assert type(fast[0]) is SparseLinear
    optimizer = torch.optim.Adam(fast.parameters(), 0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        fast(torch.randn(6, 2, 3))[0].square().sum().backward()
        optimizer.step()
    for name in ("0.bias", "1.bias_ih_l0", "1.bias_hh_l0"):
        assert torch.equal(fast.get_parameter(name) != 0, mask[name])
    only_bias = always(net, Mask({"0.bias": mask["0.bias"]}))
    assert type(only_bias[0]) is nn.Linear


def test_what_the_mask_leaves_whole_is_left_alone():
    net = nn.Sequential(nn.Conv3d(1, 1, 2), nn.Linear(3, 2), nn.BatchNorm1d(2))
    fast = always(net, Mask({"0.weight": torch.ones(1, 1, 2, 2, 2, dtype=torch.bool)}))
    assert {type(p) for p in fast.parameters()} == {nn.Parameter}
    assert type(fast[1]) is nn.Linear
    assert type(fast[2]) is nn.BatchNorm1d  # no sparse layer, no layout to keep


def test_frozen_weights_stay_frozen_sparse_or_held_and_come_back_so():
    net = nn.Sequential(nn.Linear(3, 2), nn.Conv3d(1, 1, 2), nn.LSTM(3, 2)).requires_grad_(False)
    masks = {n: torch.rand(p.shape) < 0.5 for n, p in net.named_parameters() if "weight" in n}
    fast = always(net, Mask(masks))
    for model in (fast, copy.deepcopy(fast), densify(fast)):
        assert not any(p.requires_grad for p in model.parameters())


def test_hooks_of_a_swapped_layer_go_along():
    net, seen = nn.Sequential(nn.Linear(3, 2)), []
    net[0].register_forward_hook(lambda module, inputs, output: seen.append(type(module)))
    fast = always(net, random_mask(net))
    fast(torch.ones(1, 3))
    densify(fast)(torch.ones(1, 3))
    assert seen == [SparseLinear, nn.Linear]


def test_every_companion_is_a_subclass_with_the_same_state():
    for plain, innermost in INNERMOST.items():
        assert issubclass(innermost, plain)
        assert innermost.__init__ is plain.__init__


def test_bad_arguments_are_refused():
    net = nn.Sequential(nn.Linear(3, 2), nn.Conv3d(1, 1, 2))
    mask = random_mask(net)
    with pytest.raises(ArgumentError, match="policy is 'auto' or 'always': got 'sometimes'"):
        sparsify(net, mask, "sometimes")
    with pytest.raises(ArgumentError, match="batch is a number of examples, at least 1: got 0"):
        sparsify(net, mask, batch=0)
    with pytest.raises(ArgumentError, match=r"takes a torch\.nn\.Module and a th\.Mask: got Sequential and dict"):
        sparsify(net, {})
    with pytest.raises(MaskMismatchError, match="the mask is for another model"):
        always(nn.Linear(3, 2), mask)
    with pytest.raises(ArgumentError, match=r"0 is a SparseLinear already: call densify first"):
        always(always(net, Mask({"0.weight": mask["0.weight"]})), Mask({}))
    with pytest.raises(ArgumentError, match=r"0\.weight was sparsified before: call densify first"):
        always(always(nn.Sequential(nn.Conv3d(1, 1, 2)), Mask({"0.weight": torch.rand(1, 1, 2, 2, 2) < 0.5})), Mask({}))
    with pytest.raises(ArgumentError, match=r"0\.weight has no shape yet"):
        always(nn.Sequential(nn.LazyLinear(3)), Mask({"0.weight": torch.ones(3, 2, dtype=torch.bool)}))
    with pytest.raises(ArgumentError, match=r"on the CPU: 0\.weight is on meta; .*FixedMask"):
        always(net.to("meta"), mask)


def test_auto_is_the_default_and_asks_for_an_example_where_the_model_does_not_tell():
    net = nn.Sequential(nn.Conv2d(3, 4, 3))
    with pytest.raises(ArgumentError, match="pass example="):
        th.sparsify(net, random_mask(net))
