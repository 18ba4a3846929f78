import copy

import torch
from torch import nn

from thresher.bench.work import inference_work, layer_work, step_work


class Probe(nn.Module):
    """A linear layer that notes how it is called."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.frozen = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.seen = []

    def forward(self, x):
        self.seen.append((self.training, torch.is_grad_enabled(), torch.is_inference_mode_enabled()))
        out = self.linear(x) + self.frozen
        if out.requires_grad:
            out.register_hook(lambda g: self.seen.append(g.stride()))
        return out


def test_a_layers_backward_pass_reaches_inputs_and_weights_from_a_gradient_laid_out_like_the_output():
    probe = Probe()
    inputs = torch.randn(5, 3)
    reached = []
    inputs.requires_grad_().register_hook(lambda g: reached.append("inputs"))
    probe.linear.weight.register_hook(lambda g: reached.append("weight"))
    probe.linear.bias.register_hook(lambda g: reached.append("bias"))
    work = layer_work(probe, inputs)
    assert list(work) == ["forward", "backward"]
    for _ in range(2):
        reached.clear()
        work["forward"]()
        assert reached == []
        work["backward"]()
        assert sorted(reached) == ["bias", "inputs", "weight"]
    assert probe.seen[-1] == (4, 1)


def test_a_batch_innermost_output_gets_a_batch_innermost_gradient():
    strides = []

    class Innermost(nn.Module):
        def forward(self, x):
            out = x.t().contiguous().t() * 2
            out.register_hook(lambda g: strides.append(g.stride()))
            return out

    work = layer_work(Innermost(), torch.randn(5, 3))
    work["forward"]()
    work["backward"]()
    assert strides == [(1, 5)]


def test_a_step_is_sgd_with_momentum_on_the_cross_entropy():
    torch.manual_seed(0)
    probe = Probe()
    other = copy.deepcopy(probe).double()
    inputs, targets = torch.randn(6, 3), torch.arange(6) % 4
    work, optimizer = step_work(probe, inputs, targets)
    for _ in range(3):
        work["step"]()
    velocity = [torch.zeros_like(p) for p in other.linear.parameters()]
    for _ in range(3):
        logits = other.linear(inputs.double())
        loss = (logits.logsumexp(1) - logits[torch.arange(6), targets]).mean()
        gradients = torch.autograd.grad(loss, list(other.linear.parameters()))
        for p, v, g in zip(other.linear.parameters(), velocity, gradients, strict=True):
            v.mul_(0.9).add_(g)
            p.data.sub_(1e-4 * v)
    for p, q in zip(probe.linear.parameters(), other.linear.parameters(), strict=True):
        assert not torch.equal(p, probe.frozen)
        torch.testing.assert_close(p.double(), q, rtol=1e-6, atol=1e-7)
    state = [entry["momentum_buffer"] for entry in optimizer.state.values()]
    for came, v in zip(state, velocity, strict=True):
        torch.testing.assert_close(came.double(), v, rtol=1e-5, atol=1e-6)


def test_inference_evaluates_and_records_nothing():
    probe = Probe()
    work = inference_work(probe, torch.randn(5, 3))
    work["inference"]()
    assert probe.seen == [(False, False, True)]
