"""SparseLSTM and SparseGRU against torch's layers with zeroed weights, in float64, and what a module has to survive."""

import copy
import io
import itertools
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from thresher.core.errors import ArgumentError
from thresher.core.mask import Mask
from thresher.layers.gru import SparseGRU
from thresher.layers.lstm import SparseLSTM
from thresher.models import build
from thresher.ops import is_batch_innermost
from thresher.rules import FixedMask

CELLS = {"lstm": (nn.LSTM, SparseLSTM), "gru": (nn.GRU, SparseGRU)}
INPUTS, HIDDEN, STEPS, EXAMPLES = 5, 4, 6, 3


def pair(cell, density=0.4, seed=0, **settings):
    """A dense layer with removed weights zeroed, its sparse form, and the masks."""
    dense_class, sparse_class = CELLS[cell]
    draw = torch.Generator().manual_seed(seed)
    dense = dense_class(INPUTS, HIDDEN, dtype=torch.float64, **settings)
    keep = {}
    for name, parameter in dense.named_parameters():
        parameter.data = torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
        if name.startswith("weight"):
            keep[name] = torch.rand(parameter.shape, generator=draw) < density
            parameter.data.masked_fill_(~keep[name], 0)
    return dense, sparse_class.from_dense(dense, keep), keep


def drawn(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tensors(results):
    """(y, last) of a GRU or (y, (last, memory)) of an LSTM, flat."""
    y, last = results
    return [y, *(last if isinstance(last, tuple) else (last,))]


def weighted(results):
    return sum((t * drawn(*t.shape, seed=9 + i)).sum() for i, t in enumerate(tensors(results)))


SETTINGS = [
    dict(zip(("num_layers", "bidirectional", "bias", "batch_first"), values, strict=True))
    for values in itertools.product((1, 3), (False, True), (True, False), (False, True))
]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(str(v) for v in s.values()))
@pytest.mark.parametrize("starts", ["given", "zero", "one example"])
def test_results_and_gradients_are_the_dense_layers(cell, settings, starts):
    dense, sparse, keep = pair(cell, **settings)
    shape = (EXAMPLES, STEPS, INPUTS) if settings["batch_first"] else (STEPS, EXAMPLES, INPUTS)
    count = settings["num_layers"] * (1 + settings["bidirectional"])
    firsts = [drawn(count, EXAMPLES, HIDDEN, seed=2 + i) for i in range(2 if cell == "lstm" else 1)]
    if starts == "one example":
        shape, firsts = (STEPS, INPUTS), [f[:, 0] for f in firsts]
    found = []
    for layer in (dense, sparse):
        x = drawn(*shape).requires_grad_()
        own = [f.clone().requires_grad_() for f in firsts]
        given = () if starts == "zero" else (tuple(own) if cell == "lstm" else own[0],)
        results = layer(x, *given)
        weighted(results).backward()
        gradients = dict(layer.named_parameters())
        found.append(([*tensors(results), x.grad, *(s.grad for s in own if s.grad is not None)], gradients))
    (expected, dense_parameters), (came, sparse_parameters) = found
    assert len(came) == len(expected)
    for a, b in zip(came, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    assert list(sparse_parameters) == list(dense_parameters)
    for name, parameter in dense_parameters.items():
        gradient = parameter.grad[keep[name]] if name in keep else parameter.grad
        torch.testing.assert_close(sparse_parameters[name].grad, gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("density", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("frozen", [False, True])
def test_two_hundred_steps_are_those_of_the_masked_dense_layer(cell, density, frozen):
    dense, sparse, keep = pair(cell, density, num_layers=2, bidirectional=True)
    for layer in (dense, sparse):
        layer.bias_hh_l0.requires_grad_(not frozen)
    start = dense.bias_hh_l0.detach().clone()
    hold = FixedMask(Mask(keep))
    optimizers = []
    for layer in (dense, sparse):
        trained = [p for p in layer.parameters() if p.requires_grad]
        optimizers.append(torch.optim.SGD(trained, lr=0.05, momentum=0.9, weight_decay=1e-3))
    hold.start(dense, optimizers[0])
    for step in range(200):
        x, target = drawn(STEPS, EXAMPLES, INPUTS, seed=step), drawn(STEPS, EXAMPLES, 2 * HIDDEN, seed=step + 999)
        for layer, optimizer in zip((dense, sparse), optimizers, strict=True):
            optimizer.zero_grad()
            (layer(x)[0] - target).square().mean().backward()
            optimizer.step()
        hold.after_step()
    state = sparse.state_dict()
    for name, parameter in dense.named_parameters():
        torch.testing.assert_close(state[name], parameter.detach(), rtol=0, atol=1e-9)
    assert torch.equal(sparse.bias_hh_l0.detach(), start) is frozen


@pytest.mark.parametrize("cell", CELLS)
def test_checkpoints_interchange_with_the_dense_layer(cell):
    dense, sparse, keep = pair(cell, num_layers=2, bidirectional=True)
    state = sparse.state_dict()
    assert list(state) == list(dense.state_dict())
    assert all(torch.equal(state[name], value) for name, value in dense.state_dict().items())
    assert [p.numel() for n, p in sparse.named_parameters() if n in keep] == [int(k.sum()) for k in keep.values()]
    x = drawn(STEPS, EXAMPLES, INPUTS)
    other_dense, other, _ = pair(cell, num_layers=2, bidirectional=True, seed=5)
    assert not torch.equal(other(x)[0], sparse(x)[0])
    other_dense.load_state_dict(state, strict=True)
    torch.testing.assert_close(other_dense(x)[0], sparse(x)[0], rtol=1e-12, atol=1e-13)
    before = [id(p) for p in other.parameters()]
    other.load_state_dict(state, strict=True)  # and takes over its topology
    assert torch.equal(other(x)[0], sparse(x)[0])
    assert [id(p) for p in other.parameters()] == before
    third = CELLS[cell][1].from_dense(dense, keep)
    third.load_state_dict({name: 2 * value for name, value in dense.state_dict().items()}, strict=True)
    assert torch.equal(third.weight_hh_l1_reverse, 2 * sparse.weight_hh_l1_reverse)


def saved(layer):
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer)), saved],
    ids=["deepcopy", "pickle", "save"],
)
def test_copies_compute_the_same(cell, copied):
    _, sparse, _ = pair(cell, num_layers=2, batch_first=True)
    other = copied(sparse)
    x = drawn(EXAMPLES, STEPS, INPUTS)
    assert torch.equal(other(x)[0], sparse(x)[0])
    assert other.weight_ih_l0 is not sparse.weight_ih_l0
    other.weight_ih_l0.data.zero_()
    assert not torch.equal(other(x)[0], sparse(x)[0])


@pytest.mark.parametrize("cell", CELLS)
def test_there_and_back(cell):
    settings = {"num_layers": 2, "bidirectional": True, "batch_first": True, "dropout": 0.25, "bias": False}
    dense, sparse, _ = pair(cell, **settings)
    dense.weight_ih_l1.requires_grad_(False)
    dense.eval()
    keep = {name: sparse.keep_of(name) for name in sparse.sparse_weights}
    back = CELLS[cell][1].from_dense(dense, keep).to_dense()
    assert type(back) is type(dense)
    assert repr(back) == repr(dense)
    assert not back.training
    assert [n for n, p in back.named_parameters() if not p.requires_grad] == ["weight_ih_l1"]
    x = drawn(EXAMPLES, STEPS, INPUTS)
    for a, b in zip(tensors(back(x)), tensors(dense(x)), strict=True):
        assert torch.equal(a, b)
    assert back.weight_ih_l0.data_ptr() != dense.weight_ih_l0.data_ptr()
    (back(x)[0].sum()).backward()  # nn.LSTM computes with the very tensors that are its parameters
    assert back.weight_hh_l0.grad is not None


@pytest.mark.parametrize("cell", CELLS)
def test_a_weight_without_a_mask_is_kept_whole(cell):
    dense, _, keep = pair(cell)
    sparse = CELLS[cell][1].from_dense(dense, {"weight_hh_l0": keep["weight_hh_l0"]})
    assert sparse.weight_ih_l0.numel() == dense.weight_ih_l0.numel()
    x = drawn(STEPS, EXAMPLES, INPUTS)
    torch.testing.assert_close(sparse(x)[0], dense(x)[0], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("cell", CELLS)
def test_dropout_lies_between_layers_while_training(cell):
    dense, sparse, _ = pair(cell, num_layers=2, dropout=1.0)  # all or nothing, so that chance takes no part
    x = drawn(STEPS, EXAMPLES, INPUTS)
    trained, evaluated = sparse(x)[0], sparse.eval()(x)[0]
    torch.testing.assert_close(trained, dense(x)[0], rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(evaluated, dense.eval()(x)[0], rtol=1e-12, atol=1e-13)
    assert not torch.allclose(trained, evaluated)
    _, sparse, _ = pair(cell, num_layers=1)
    sparse.dropout = 1.0
    assert torch.equal(sparse(x)[0], sparse.eval()(x)[0])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_examples_stay_innermost(cell, bidirectional):
    _, sparse, _ = pair(cell, num_layers=2, batch_first=True, bidirectional=bidirectional)
    y = sparse(drawn(EXAMPLES, STEPS, INPUTS))[0]
    assert is_batch_innermost(y)
    assert is_batch_innermost(y[:, -1])


@pytest.mark.parametrize("name", ["lstm-s", "gru-s"])
def test_the_published_classifier(name):
    cell = name[:-2]
    net = build(name, seed=0).double()
    keep = {
        n: torch.rand(p.shape, generator=torch.Generator().manual_seed(1)) < 0.1
        for n, p in net.rnn.named_parameters()
        if n.startswith("weight")
    }
    twin = copy.deepcopy(net)
    for n, k in keep.items():
        twin.rnn.get_parameter(n).data.masked_fill_(~k, 0)
    net.rnn = CELLS[cell][1].from_dense(net.rnn, keep)
    net.rnn.flatten_parameters()
    x = drawn(9, 1, 28, 28)
    torch.testing.assert_close(net(x), twin(x), rtol=1e-11, atol=1e-12)
    net(x).sum().backward()
    assert net.rnn.bias_hh_l0.grad is None  # frozen in this architecture
    assert net.rnn.bias_ih_l0.grad is not None


@pytest.mark.parametrize("cell", CELLS)
def test_what_has_no_sparse_form_is_refused(cell):
    dense, sparse, keep = pair(cell, batch_first=True)
    sparse_class = CELLS[cell][1]
    assert sparse_class.supports(dense)
    assert not sparse_class.supports(nn.RNN(INPUTS, HIDDEN))
    assert not sparse_class.supports(nn.LSTM(INPUTS, HIDDEN, proj_size=2))
    with pytest.raises(ArgumentError, match="without proj_size: got RNN"):
        sparse_class.from_dense(nn.RNN(INPUTS, HIDDEN), keep)
    with pytest.raises(ArgumentError, match="keep of weight_hh_l0 is a bool tensor"):
        sparse_class.from_dense(dense, {"weight_hh_l0": keep["weight_ih_l0"]})
    packed = pack_padded_sequence(drawn(EXAMPLES, STEPS, INPUTS), torch.tensor([6, 4, 1]), batch_first=True)
    with pytest.raises(ArgumentError, match="takes no PackedSequence: pad the examples"):
        sparse(packed)
    with pytest.raises(ArgumentError, match=r"\[examples, steps, 5\].*got \[3, 6, 4\]"):
        sparse(drawn(EXAMPLES, STEPS, 4))
    with pytest.raises(ArgumentError, match=r"got \[5\]"):
        sparse(drawn(5))
    wrong = drawn(1, 2, HIDDEN)
    with pytest.raises(ArgumentError, match=r"an initial state is \[1, 3, 4\], got \[1, 2, 4\]"):
        sparse(drawn(EXAMPLES, STEPS, INPUTS), (wrong, wrong) if cell == "lstm" else wrong)
    with pytest.raises(ArgumentError, match="with one step or more"):
        sparse(drawn(EXAMPLES, 0, INPUTS))
    with pytest.raises(ArgumentError, match=r"the input is torch\.float32, the layer torch\.float64"):
        sparse(drawn(EXAMPLES, STEPS, INPUTS).float())


def test_an_lstm_starts_from_two_states():
    _, sparse, _ = pair("lstm")
    with pytest.raises(ArgumentError, match=r"a tuple \(state, memory\)"):
        sparse(drawn(STEPS, EXAMPLES, INPUTS), drawn(1, EXAMPLES, HIDDEN))


def test_what_it_says_of_itself():
    dense = nn.LSTM(2, 3, num_layers=2, batch_first=True)
    keep = {n: torch.zeros_like(p, dtype=torch.bool) for n, p in dense.named_parameters() if n.startswith("weight")}
    assert (
        repr(SparseLSTM.from_dense(dense, keep))
        == "SparseLSTM(2, 3, num_layers=2, batch_first=True, kept=0, sparsity=1)"
    )
    assert repr(SparseGRU.from_dense(nn.GRU(2, 3), {})) == "SparseGRU(2, 3, kept=45, sparsity=0)"
