"""The registered operators: what torch asks of them, traced, compiled, exported and under functional transforms."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from thresher import ops
from thresher.core.errors import ArgumentError
from thresher.ops import Topology

FLAT = Topology.of(torch.rand(5, 7, generator=torch.Generator().manual_seed(0)) < 0.5)
TAPS = Topology.of(torch.rand(4, 18, generator=torch.Generator().manual_seed(1)) < 0.5)
GEOMETRY = [3, 3, 2, 1, 1, 0, 1, 1, 1]


def leaf(*size):
    return torch.randn(
        *size, dtype=torch.float64, generator=torch.Generator().manual_seed(len(size)), requires_grad=True
    )


def plain(*size):
    return leaf(*size).detach()


CALLS = {
    "spmm": lambda: (leaf(FLAT.kept), leaf(7, 3), *FLAT),
    "spmm_transposed": lambda: (leaf(FLAT.kept), leaf(5, 3), *FLAT),
    "sddmm": lambda: (leaf(5, 3), leaf(7, 3), *FLAT),
    "linear": lambda: (leaf(3, 7), leaf(FLAT.kept), leaf(5), *FLAT),
    "linear without bias": lambda: (leaf(3, 7), leaf(FLAT.kept), None, *FLAT),
    "linear_backward": lambda: (plain(3, 5), plain(3, 7), plain(FLAT.kept), *FLAT, True, True, True),
    "linear_backward of x": lambda: (plain(3, 5), plain(3, 7), plain(FLAT.kept), *FLAT, True, False, False),
    "conv2d": lambda: (leaf(3, 2, 6, 5), leaf(TAPS.kept), leaf(4), *TAPS[:2], GEOMETRY),
    "conv2d_backward": lambda: (
        plain(3, 4, 3, 3), plain(3, 2, 6, 5), plain(TAPS.kept), *TAPS[:2], GEOMETRY, True, True, True
    ),
    "conv2d_backward of values": lambda: (
        plain(3, 4, 3, 3), plain(3, 2, 6, 5), plain(TAPS.kept), *TAPS[:2], GEOMETRY, False, True, False
    ),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_schema_fakes_autograd_and_dynamic_shapes(engine, call):
    operator = getattr(torch.ops.thresher, call.split()[0]).default
    report = torch.library.opcheck(operator, CALLS[call]())
    assert set(report.values()) == {"SUCCESS"}


def test_every_registered_operator_is_checked_here_or_in_the_recurrences_tests():
    registered = {name.split("::")[1].split(".")[0] for name in torch._C._dispatch_get_all_op_names()
                  if name.startswith("thresher::")}  # fmt: skip
    assert {call.split()[0] for call in CALLS} == {name for name in registered if not name.startswith("recurrence")}


class Net(torch.nn.Module):
    """A convolution, a ReLU and a linear layer with a bias, sparse."""

    def __init__(self):
        super().__init__()
        self.taps, self.kernel = leaf(TAPS.kept), torch.nn.Parameter(plain(TAPS.kept))
        draw = torch.Generator().manual_seed(2)
        self.flat = Topology.of(torch.rand(3, 36, generator=draw) < 0.3)
        self.weight = torch.nn.Parameter(plain(self.flat.kept))
        self.bias = torch.nn.Parameter(plain(3))

    def forward(self, x):
        x = ops.conv2d(x, self.kernel, None, TAPS, (3, 3), (2, 1), (1, 0)).relu()
        return ops.linear(x.flatten(1), self.weight, self.bias, self.flat)


X = plain(5, 2, 6, 5)


def gradients(f, net, x):
    net.zero_grad()
    x = x.clone().requires_grad_()
    y = f(x)
    y.square().sum().backward()
    return [y.detach(), x.grad, *(p.grad for p in net.parameters())]


def same(found, expected):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_one_compiled_graph_computes_the_same(engine):
    net = Net()
    torch.compiler.reset()
    f = torch.compile(net, fullgraph=True, backend="aot_eager")
    same(gradients(f, net, X), gradients(net, net, X))
    other = plain(9, 2, 6, 5)  # another batch, compiled for any
    same(gradients(f, net, other), gradients(net, net, other))


@pytest.mark.parametrize("strict", [True, False])
def test_an_exported_program_takes_any_batch(strict):
    net = Net()
    batch = {0: torch.export.Dim("batch", min=2, max=512)}
    program = torch.export.export(net, (X,), dynamic_shapes=(batch,), strict=strict)
    assert {"thresher.conv2d.default", "thresher.linear.default"} <= {
        str(node.target) for node in program.graph.nodes if node.op == "call_function"
    }
    for x in (X, plain(9, 2, 6, 5)):
        torch.testing.assert_close(program.module()(x), net(x))


def test_fake_tensors_have_the_shapes_and_strides_of_real_ones():
    net = Net()
    real = net(X)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        y = net(mode.from_tensor(X))
        y.sum().backward()
    assert (y.shape, y.stride(), y.dtype) == (real.shape, real.stride(), real.dtype)
    assert net.weight.grad.shape == net.weight.shape


def test_a_traced_graph_has_the_operators_not_their_memory():
    net = Net()
    with torch.no_grad():
        graph = make_fx(net)(X)
        other = plain(5, 2, 6, 5) * 2
        torch.testing.assert_close(graph(other), net(other))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_a_jit_trace_has_the_operators_not_their_memory():
    net = Net()
    with torch.no_grad():
        traced = torch.jit.trace(net, (X,), check_trace=False)
        other = plain(5, 2, 6, 5) * 2
        torch.testing.assert_close(traced(other), net(other))


@pytest.mark.parametrize("transform", [torch.func.grad, torch.func.vmap, torch.func.jacrev])
def test_functional_transforms_are_refused_with_what_to_do_instead(transform):
    x, values, kernel = plain(3, 7), plain(FLAT.kept), plain(TAPS.kept)
    with pytest.raises(ArgumentError, match=r"linear has no rules for the transforms of torch\.func"):
        transform(lambda x: ops.linear(x, values, None, FLAT).sum())(x)
    with pytest.raises(ArgumentError, match=r"conv2d has no rules for the transforms of torch\.func"):
        transform(lambda x: ops.conv2d(x, kernel, None, TAPS, (3, 3)).sum())(
            X if transform is not torch.func.vmap else X[None]
        )


def test_activation_checkpoints_recompute_the_same():
    net = Net()
    again = lambda x: torch.utils.checkpoint.checkpoint(net, x, use_reentrant=False)  # noqa: E731
    same(gradients(again, net, X), gradients(net, net, X))


def test_results_are_not_inference_tensors_of_memory_elsewhere():
    net = Net()
    with torch.inference_mode():
        torch.testing.assert_close(net(X), net(X.clone()))
