"""Sparse LSTM and GRU sequences against torch's masked dense layers in float64, on every engine that is here."""

import math
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.core.errors import ArgumentError
from thresher.ops import recurrence
from thresher.ops.gru import gru
from thresher.ops.lstm import lstm
from thresher.ops.topology import Topology

GATES = {"lstm": 4, "gru": 3}
SHAPES = [(1, 1, 1, 1), (3, 7, 5, 4), (2, 127, 3, 5), (4, 33, 6, 17), (2, 130, 1, 2), (5, 16, 9, 3)]

BUILT = find_spec("thresher._kernels") is not None
compiled = pytest.mark.skipif(not BUILT, reason="the compiled kernels are not built here")


class Problem:
    """Drawn weights, inputs, states and gradients of the results; each as a leaf for the sparse operation."""

    def __init__(self, cell, shape, density, dtype=torch.float64, bias=True, seed=0):
        self.cell, (steps, examples, inputs, hidden) = cell, shape
        draw = torch.Generator().manual_seed(seed)
        rows = GATES[cell] * hidden

        def normal(*size):
            return torch.randn(*size, generator=draw, dtype=torch.float64).to(dtype)

        self.keeps = [torch.rand(rows, columns, generator=draw) < density for columns in (inputs, hidden)]
        self.topologies = [Topology.of(keep) for keep in self.keeps]
        self.weights = [normal(*keep.shape) * keep for keep in self.keeps]
        self.x = normal(steps, examples, inputs).requires_grad_()
        self.states = [normal(examples, hidden).requires_grad_() for _ in range(2 if cell == "lstm" else 1)]
        self.values = [w[keep].requires_grad_() for w, keep in zip(self.weights, self.keeps, strict=True)]
        self.biases = [normal(rows).requires_grad_() if bias else None for _ in range(2)]
        self.by_y = normal(steps, examples, hidden)
        self.by_last = [normal(examples, hidden) for _ in self.states]

    def leaves(self):
        return [self.x, *self.states, *self.values, *(b for b in self.biases if b is not None)]

    def sparse(self):
        """(states of all steps, the last of each kind)."""
        (s, r), (sparse_x, sparse_h) = self.values, self.topologies
        if self.cell == "lstm":
            bias = None if self.biases[0] is None else self.biases[0] + self.biases[1]
            return lstm(self.x, *self.states, s, sparse_x, r, sparse_h, bias)
        return gru(self.x, *self.states, s, sparse_x, r, sparse_h, *self.biases)

    def dense(self):
        """The same from torch.nn in float64, and the gradients of `loss` in the order of `leaves`."""
        inputs = self.x.shape[2]
        has_bias = self.biases[0] is not None
        layer = (torch.nn.LSTM if self.cell == "lstm" else torch.nn.GRU)(
            inputs, self.states[0].shape[1], bias=has_bias, dtype=torch.float64
        )
        own = [*self.weights, *(b for b in self.biases if b is not None)]
        for parameter, value in zip(layer.parameters(), own, strict=True):
            parameter.data.copy_(value)
        x, *states = (t.detach().double().requires_grad_() for t in (self.x, *self.states))
        firsts = tuple(s[None] for s in states) if self.cell == "lstm" else states[0][None]
        y, last = layer(x, firsts)
        results = (y, *(t[0] for t in (last if self.cell == "lstm" else (last,))))
        self.loss(results).backward()
        by_weights = [p.grad for p in layer.parameters()]
        by_values = [g[keep] for g, keep in zip(by_weights, self.keeps, strict=False)]
        return results, [x.grad, *(s.grad for s in states), *by_values, *by_weights[2:]]

    def loss(self, results):
        return sum((r * g.to(r.dtype)).sum() for r, g in zip(results, (self.by_y, *self.by_last), strict=True))

    def worst(self):
        """The largest relative error, in norm, of the results and the gradients."""
        results = self.sparse()
        self.loss(results).backward()
        expected, gradients = self.dense()
        came = [*results, *(leaf.grad for leaf in self.leaves())]
        errors = {}
        for i, (a, b) in enumerate(zip(came, [*expected, *gradients], strict=True)):
            assert a.shape == b.shape
            scale = b.norm().item() or 1.0
            errors[i] = ((a.double() - b).norm() / scale).item()
        assert all(math.isfinite(e) for e in errors.values())
        return max(errors.values())


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_results_and_gradients_are_those_of_the_masked_dense_layer(engine, cell, shape, density):
    bias = shape[1] != 33
    assert Problem(cell, shape, density, bias=bias).worst() < 1e-13


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize(("shape", "density"), [((28, 128, 128, 128), 0.1), ((9, 127, 40, 33), 0.5)], ids=str)
def test_float32_is_as_near_as_its_digits_allow(engine, cell, shape, density):
    if engine == "reference" and shape[0] == 28:
        pytest.skip("too slow")
    kept_per_row = density * (shape[2] + shape[3])
    problem = Problem(cell, shape, density, torch.float32)
    for weights, values in zip(problem.weights, problem.values, strict=True):
        weights.div_(kept_per_row**0.5)  # as an initialisation would have it
        values.data.div_(kept_per_row**0.5)
    assert problem.worst() < 1e-6 * kept_per_row**0.5


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (5, 1, 3, 16), (3, 1, 90, 21), (4, 1, 5, 70), (3, 2, 5, 70)], ids=str)
@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_inference_on_few_examples_gives_the_states_of_the_dense_layer(engine, cell, dtype, shape, density):
    problem = Problem(cell, shape, density, dtype, bias=shape[0] != 4)
    kept_per_row = density * (shape[2] + shape[3]) + 1
    for weights, values in zip(problem.weights, problem.values, strict=True):
        weights.div_(kept_per_row**0.5)
        values.data.div_(kept_per_row**0.5)
    problem.x = laid_out(problem.x.detach(), "every other").requires_grad_()
    with torch.inference_mode():
        results = problem.sparse()
    bound = (1e-6 if dtype is torch.float32 else 1e-14) * kept_per_row**0.5
    for came, right in zip(results, problem.dense()[0], strict=True):
        assert came.shape == right.shape
        assert (came.double() - right).norm() <= bound * right.norm()


@settings(max_examples=25)
@given(
    st.sampled_from(sorted(GATES)), st.tuples(*[st.integers(1, 3)] * 2, *[st.integers(1, 4)] * 2),
    st.sampled_from([0.0, 0.2, 0.7, 1.0]), st.booleans(), st.integers(0, 9),
)  # fmt: skip
def test_drawn_shapes(cell, shape, density, bias, seed):
    assert Problem(cell, shape, density, bias=bias, seed=seed).worst() < 1e-13


@pytest.mark.parametrize("cell", GATES)
def test_gradcheck(engine, cell):
    problem = Problem(cell, (3, 2, 3, 2), 0.6)
    assert torch.autograd.gradcheck(lambda *_: problem.sparse(), problem.leaves())


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("used", [0, 1, 2])
def test_one_result_alone_is_differentiated(engine, cell, used):
    problem = Problem(cell, (3, 5, 4, 3), 0.5)
    if used > len(problem.by_last):
        pytest.skip("a GRU has no memory")
    for i, gradient in enumerate([problem.by_y, *problem.by_last]):
        gradient.mul_(i == used)
    _, expected = problem.dense()
    (problem.sparse()[used] * [problem.by_y, *problem.by_last][used]).sum().backward()
    for leaf, gradient in zip(problem.leaves(), expected, strict=True):
        torch.testing.assert_close(leaf.grad, gradient, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("frozen", range(6))
def test_what_needs_no_gradient_gets_none(engine, cell, frozen):
    problem = Problem(cell, (2, 3, 3, 2), 0.5)
    leaves = problem.leaves()
    leaves[frozen].requires_grad_(False)
    _, expected = problem.dense()
    problem.loss(problem.sparse()).backward()
    assert leaves[frozen].grad is None
    for i, (leaf, gradient) in enumerate(zip(leaves, expected, strict=True)):
        if i != frozen:
            torch.testing.assert_close(leaf.grad, gradient, rtol=1e-11, atol=1e-13)


def laid_out(x, name):
    """The values of `x` in other memory."""
    if name == "every other":
        wide = x.new_full([2 * s for s in x.shape], float("nan"))
        view = wide[tuple(slice(None, None, 2) for _ in x.shape)]
        view.copy_(x)
        return view
    order = [int(i) for i in name]
    return x.permute(order).contiguous().permute([order.index(i) for i in range(x.dim())])


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("layout", ["012", "021", "120", "102", "201", "every other"])
def test_strides_of_inputs_are_free(engine, cell, layout):
    problem = Problem(cell, (3, 70, 4, 3), 0.5)
    expected, gradients = problem.dense()
    problem.x = laid_out(problem.x.detach(), layout).requires_grad_()
    if layout != "012":
        problem.states = [laid_out(s.detach(), "10").requires_grad_() for s in problem.states]
        problem.values = [laid_out(v.detach(), "every other").requires_grad_() for v in problem.values]
        problem.biases = [laid_out(b.detach(), "every other").requires_grad_() for b in problem.biases]
        problem.by_y = laid_out(problem.by_y, layout)
    results = problem.sparse()
    problem.loss(results).backward()
    came = [*results, *(leaf.grad for leaf in problem.leaves())]
    for a, b in zip(came, [*expected, *gradients], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-13)


def test_expanded_inputs_and_gradients(engine):
    problem = Problem("lstm", (4, 3, 2, 5), 0.5)
    row = problem.x.detach()[:1, :1]
    problem.x = row.expand(4, 3, 2)
    once = problem.sparse()
    problem.x = row.expand(4, 3, 2).contiguous()
    assert all(torch.equal(a, b) for a, b in zip(once, problem.sparse(), strict=True))
    once[0].sum().backward()  # the gradient of a sum is one number, expanded
    came = [v.grad.clone() for v in problem.values]
    for values in problem.values:
        values.grad = None
    (problem.sparse()[0] * torch.ones(4, 3, 5, dtype=torch.float64)).sum().backward()
    for values, gradient in zip(problem.values, came, strict=True):
        torch.testing.assert_close(values.grad, gradient, rtol=1e-12, atol=0)


@pytest.mark.parametrize("cell", GATES)
def test_examples_are_innermost_in_the_states(engine, cell):
    y, *last = Problem(cell, (3, 5, 4, 2), 0.5).sparse()
    assert y.stride() == (10, 1, 5)
    assert all(torch.equal(y[-1], last[0]) and state.shape == (5, 2) for state in last)


@compiled
@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_threads_change_nothing(cell, dtype):
    def bits():
        problem = Problem(cell, (3, 64 * 70 + 9, 12, 16), 0.4, dtype)  # more slices than parts of a sum
        results = problem.sparse()
        problem.loss(results).backward()
        return [*results, *(leaf.grad for leaf in problem.leaves())]

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = bits()
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            assert all(torch.equal(a, b) for a, b in zip(alone, bits(), strict=True))
    finally:
        torch.set_num_threads(before)
    assert Problem(cell, (3, 64 * 70 + 9, 12, 16), 0.4, torch.float64).worst() < 1e-13


@pytest.mark.parametrize("cell", GATES)
def test_backward_twice_over_one_graph(engine, cell):
    problem = Problem(cell, (3, 4, 3, 2), 0.5)
    loss = problem.loss(problem.sparse())
    once = torch.autograd.grad(loss, problem.leaves(), retain_graph=True)
    twice = torch.autograd.grad(loss, problem.leaves())
    assert all(torch.equal(a, b) for a, b in zip(once, twice, strict=True))


@compiled
def test_a_second_derivative_is_refused():
    problem = Problem("gru", (2, 3, 3, 2), 0.5)
    (first,) = torch.autograd.grad(problem.sparse()[0].square().sum(), problem.x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@pytest.mark.parametrize("cell", GATES)
def test_without_gradients_the_results_are_the_same(engine, cell):
    problem = Problem(cell, (3, 20, 4, 3), 0.5)
    with torch.no_grad():
        plain = problem.sparse()
    assert all(torch.equal(a, b) and not a.requires_grad for a, b in zip(plain, problem.sparse(), strict=True))


@compiled
@pytest.mark.parametrize("cell", GATES)
def test_nothing_is_kept_for_a_backward_that_cannot_come(cell, monkeypatch):
    sizes = []

    def spied(*arguments, forward=recurrence._forward):
        results = forward(*arguments)
        sizes.append(results[3].numel())
        return results

    monkeypatch.setattr(recurrence, "_forward", spied)
    problem = Problem(cell, (3, 20, 4, 3), 0.5)
    problem.sparse()
    with torch.no_grad():
        problem.sparse()
    for leaf in problem.leaves():
        leaf.requires_grad_(False)
    problem.sparse()
    kept = 5 if cell == "lstm" else 4
    assert sizes == [2 * 3 * 3 * kept * 16, 0, 0]  # 20 examples make two slices of 16


@pytest.mark.parametrize("cell", GATES)
def test_no_examples(engine, cell):
    problem = Problem(cell, (3, 0, 4, 2), 0.5)
    results = problem.sparse()
    assert results[0].shape == (3, 0, 2)
    problem.loss(results).backward()
    assert all((leaf.grad == 0).all() for leaf in problem.leaves())


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_goes_where_its_connections_go(engine, cell, bad):
    problem = Problem(cell, (3, 4, 3, 5), 1.0, torch.float32)
    gates, hidden = GATES[cell], 5
    keep = torch.ones(gates * hidden, 3, dtype=torch.bool)
    keep[:, 0] = False  # nobody reads feature 0
    keep[:, 1] = False
    keep[gates * hidden - hidden, 1] = True  # unit 0 alone reads feature 1, by its last gate
    alone = torch.eye(hidden, dtype=torch.bool).repeat(gates, 1)  # units keep to themselves
    problem.topologies = [Topology.of(keep), Topology.of(alone)]
    problem.values = [torch.randn(int(k.sum()), generator=torch.Generator().manual_seed(1)) for k in (keep, alone)]
    clean = problem.sparse()
    problem.x = problem.x.detach().clone()
    problem.x[1, 2, 0] = bad
    assert all(torch.equal(a, b) for a, b in zip(problem.sparse(), clean, strict=True))
    problem.x[1, 2, 1] = math.nan
    y = problem.sparse()[0]
    spoilt = torch.zeros(3, 4, 5, dtype=torch.bool)
    spoilt[1:, 2, 0] = True
    assert torch.equal(y.isnan(), spoilt)
    assert torch.equal(y[~spoilt], clean[0][~spoilt])


@compiled
@pytest.mark.parametrize("cell", GATES)
def test_nan_of_an_earlier_batch_does_not_come_back(cell):
    spoilt = Problem(cell, (3, 16, 4, 3), 1.0)
    spoilt.x.data.fill_(math.nan)
    for tensor in (*spoilt.states, *spoilt.by_last, spoilt.by_y):
        tensor.data.fill_(math.nan)
    spoilt.loss(spoilt.sparse()).backward()  # full slices of NaN in the memory that threads keep for the next call
    assert Problem(cell, (3, 7, 4, 3), 1.0).worst() < 1e-13


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("size", [30.0, 1e4, 1e30, math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_saturated_gates(engine, cell, size, dtype):
    problem = Problem(cell, (3, 17, 2, 4), 1.0, dtype)
    x = problem.x.detach().sign() * size
    x[..., 1] = 1.0  # two infinities would cancel to NaN
    problem.x = x.requires_grad_()
    came, (expected, _) = problem.sparse(), problem.dense()
    for a, b in zip(came, expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=0, atol=1e-6 if dtype is torch.float32 else 1e-14)


def gru_of(dtype, x, new, update, h0):
    """One step of a GRU unit in which x goes to one gate: h = (1-z)·tanh(new·x) + z·h0, z = σ(update·x + bias)."""
    keep = torch.tensor([[False], [update != 0], [new != 0]])
    values = torch.tensor([update + new], dtype=dtype)
    bias = torch.tensor([0.0, -1e4 if update == 0 else 0.0, 0.0], dtype=dtype)
    none = Topology.of(torch.zeros(3, 1, dtype=torch.bool))
    empty = torch.zeros(0, dtype=dtype)
    start = torch.full((len(x), 1), h0, dtype=dtype)
    inputs = torch.from_numpy(x).to(dtype)[None, :, None]
    return gru(inputs, start, values, Topology.of(keep), empty, none, bias, torch.zeros_like(bias))[1][:, 0]


@pytest.mark.parametrize(("dtype", "bits"), [(torch.float32, 24), (torch.float64, 53)])
def test_gates_to_their_last_bits(engine, dtype, bits):
    x = np.concatenate([np.linspace(-30, 30, 4001), np.geomspace(1e-8, 30, 999), -np.geomspace(1e-8, 30, 999)])
    x = torch.from_numpy(x).to(dtype).double().numpy()  # numbers of that type
    tanh = gru_of(dtype, x, 1.0, 0.0, 0.0).double().numpy()
    logistic = gru_of(dtype, x, 0.0, 1.0, 1.0).double().numpy()
    expected_tanh, expected_logistic = np.tanh(x), 1 / (1 + np.exp(-x))
    ulp = 2.0**-bits
    assert np.all(np.abs(tanh - expected_tanh) <= 6 * ulp * np.abs(expected_tanh))
    assert np.all(np.abs(logistic - expected_logistic) <= 8 * ulp * expected_logistic)


def test_autocast_casts_inputs_to_the_values(engine):
    problem = Problem("lstm", (2, 3, 4, 3), 0.5, torch.float32)
    problem.x = problem.x.detach().bfloat16()
    problem.states[1] = problem.states[1].detach().bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        came = problem.sparse()
    problem.x, problem.states[1] = problem.x.float(), problem.states[1].float()
    assert all(a.dtype == torch.float32 and torch.equal(a, b) for a, b in zip(came, problem.sparse(), strict=True))


def test_what_does_not_fit_is_refused(engine):
    def error(change, cell="lstm"):
        problem = Problem(cell, (2, 3, 4, 5), 0.5)
        change(problem)
        with pytest.raises(ArgumentError) as caught:
            problem.sparse()
        return str(caught.value)

    def put(**fields):
        return lambda problem: [setattr(problem, name, value) for name, value in fields.items()]

    z = torch.zeros
    assert "[steps, examples, 4] with one step or more, got [2, 3, 9]" in error(put(x=z(2, 3, 9).double()))
    assert "got [2, 3]" in error(put(x=z(2, 3).double()))
    assert "got [0, 3, 4]" in error(put(x=z(0, 3, 4).double()))
    assert "the input is torch.float32, the layer torch.float64" in error(put(x=z(2, 3, 4)))
    assert "runs on the CPU" in error(put(x=z(2, 3, 4, device="meta").double()))
    assert "the input is torch.float32" in error(put(states=[z(3, 5).double(), z(3, 5)]))
    assert "a state is [3, 5], got [3, 6]" in error(put(states=[z(3, 5).double(), z(3, 6).double()]))
    assert "a state is [3, 5], got [5]" in error(put(states=[z(5).double()]), "gru")
    assert "got torch.float64, [1]" in error(lambda p: p.values.__setitem__(0, z(1).double()))
    assert "the recurrent weights are torch.float64" in error(lambda p: p.values.__setitem__(1, p.values[1].float()))
    wrong = Topology.of(torch.ones(15, 4, dtype=torch.bool))
    assert "4 · 5 rows, got torch.float64" in error(lambda p: p.topologies.__setitem__(0, wrong))
    assert "3 · 5 rows" in error(
        lambda p: p.topologies.__setitem__(1, Topology.of(torch.ones(20, 5, dtype=torch.bool))), "gru"
    )
    assert "a bias is torch.float64, [15], got torch.float64, [4]" in error(
        lambda p: p.biases.__setitem__(1, z(4).double()), "gru"
    )
    assert "come together" in error(lambda p: p.biases.__setitem__(1, None), "gru")


class Net(torch.nn.Module):
    def __init__(self, problem):
        super().__init__()
        self.problem = problem
        self.states = [s.detach() for s in problem.states]
        self.values = torch.nn.ParameterList([v.detach().clone() for v in problem.values])

    def forward(self, x):
        states = self.states
        (s, r), (sparse_x, sparse_h) = self.values, self.problem.topologies
        if self.problem.cell == "lstm":
            return lstm(x, *states, s, sparse_x, r, sparse_h, None)
        return gru(x, *states, s, sparse_x, r, sparse_h, None, None)


@compiled
@pytest.mark.parametrize("cell", GATES)
def test_compiled_graphs(cell):
    net = Net(Problem(cell, (3, 4, 3, 2), 0.5))
    x = net.problem.x.detach()
    found = []
    for run in (net, torch.compile(net, fullgraph=True, backend="aot_eager")):
        net.zero_grad()
        net.problem.loss(run(x)).backward()
        found.append([*(t.detach() for t in run(x)), *(p.grad for p in net.parameters())])
    assert all(torch.equal(a, b) and a.stride() == b.stride() for a, b in zip(*found, strict=True))
    exported = torch.export.export(net, (x,)).module()
    assert all(torch.equal(a, b) for a, b in zip(exported(x), net(x), strict=True))


@compiled
@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("needs", [True, False])
def test_the_registered_operator_is_sound(cell, needs):
    problem = Problem(cell, (2, 3, 3, 2), 0.5)
    h0, *c0 = problem.states
    indices = [*problem.topologies[0], *problem.topologies[1]]
    bias = torch.randn(8, dtype=torch.float64, requires_grad=True)
    arguments = (problem.x, h0, *(c0 or [None]), *problem.values, bias)
    if not needs:
        arguments = tuple(None if a is None else a.detach() for a in arguments)
    torch.library.opcheck(torch.ops.thresher.recurrence.default, (cell, needs, *arguments, indices))
