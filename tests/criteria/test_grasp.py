"""GraSP against θ ⊙ Hg with the whole Hessian written out in float64."""

import pytest
import torch
from torch import nn
from torch.autograd.functional import hessian
from torch.func import functional_call
from torch.nn.functional import cross_entropy, mse_loss

from thresher.core.errors import ArgumentError
from thresher.core.prunable import prunable
from thresher.criteria import GraSP


def scores_by_hessian(net, batches, temperature, loss=cross_entropy):
    """-S(-θ) = θ ⊙ Hg of equation 8, by name; H is the dense matrix of the mean loss over all examples."""
    weights = {n: w.detach() for n, w in prunable(net).items()}
    sizes = [w.numel() for w in weights.values()]
    theta = torch.cat([w.reshape(-1) for w in weights.values()])
    examples = sum(len(x) for x, _ in batches)

    def value(flat):
        parts = {n: p.view(w.shape) for (n, w), p in zip(weights.items(), flat.split(sizes), strict=True)}
        buffers = {n: b.clone() for n, b in net.named_buffers()}
        outputs = [functional_call(net, {**buffers, **parts}, (x,)) for x, _ in batches]
        losses = [len(y) * loss(out / temperature, y) for out, (_, y) in zip(outputs, batches, strict=True)]
        return sum(losses) / examples

    point = theta.clone().requires_grad_()
    gradient = torch.autograd.grad(value(point), point)[0]
    scores = theta * (hessian(value, theta) @ gradient)
    return {n: s.view(w.shape) for (n, w), s in zip(weights.items(), scores.split(sizes), strict=True)}


def assert_close(came, expected, rtol=1e-8):
    largest = max(e.abs().max() for e in expected.values())
    assert largest > 0
    for name in expected:
        torch.testing.assert_close(came[name], expected[name], rtol=rtol, atol=float(1e-12 * largest))


@pytest.mark.parametrize("temperature", [1.0, 200.0])
@pytest.mark.parametrize("one_batch", [True, False])
def test_the_explicit_hessian_of_a_tanh_network(tanh_net, points, temperature, one_batch):
    batches = points[:1] if one_batch else points  # 5, or 5 + 3 + 4: uneven ones weigh by their examples
    scores = GraSP(cross_entropy, temperature).scores(tanh_net, prunable(tanh_net), batches)
    assert_close(scores, scores_by_hessian(tanh_net, batches, temperature))


def test_scores_are_signed(tanh_net, points):
    scores = GraSP(cross_entropy).scores(tanh_net, prunable(tanh_net), points)
    flat = torch.cat([s.reshape(-1) for s in scores.values()])
    assert flat.min() < 0 < flat.max()


def test_in_later_rounds_the_flow_is_that_of_the_kept_weights(tanh_net, points):
    # Synaptic-Flow multiplies masks into the weights: neither g nor H knows the removed coordinates
    weights = {n: w.detach().clone() for n, w in prunable(tanh_net).items()}
    kept = torch.rand(69, generator=torch.Generator().manual_seed(0)) < 0.6
    theta = torch.cat([w.reshape(-1) for w in weights.values()])

    def value(left):
        flat = torch.zeros_like(theta).masked_scatter(kept, left)
        parts = {n: p.view(w.shape) for (n, w), p in zip(weights.items(), flat.split([24, 30, 15]), strict=True)}
        return sum(len(x) * cross_entropy(functional_call(tanh_net, parts, (x,)), y) for x, y in points) / 12

    left = theta[kept].requires_grad_()
    gradient = torch.autograd.grad(value(left), left)[0]
    expected = torch.zeros_like(theta).masked_scatter(kept, left.detach() * (hessian(value, left) @ gradient))
    zeroed = (theta * kept).split([24, 30, 15])
    zeroed = {n: p.view(w.shape) for (n, w), p in zip(weights.items(), zeroed, strict=True)}
    scores = GraSP(cross_entropy, temperature=1.0).scores(tanh_net, zeroed, points)
    assert_close({"all": torch.cat([s.reshape(-1) for s in scores.values()])}, {"all": expected})


def test_the_sign_removing_a_low_scored_weight_would_raise_the_gradient_flow(tanh_net, points):
    # S(-θ_q) is half the first-order change of ‖g‖² when θ_q → 0; the largest S goes first, here the lowest score
    weights = {n: w.detach().clone().requires_grad_() for n, w in prunable(tanh_net).items()}

    def flow(shrink):
        inner = {n: (w * shrink[n]) for n, w in weights.items()}
        total = sum(len(x) * cross_entropy(functional_call(tanh_net, inner, (x,)), y) for x, y in points) / 12
        return sum(g.square().sum() for g in torch.autograd.grad(total, list(inner.values())))

    scores = GraSP(cross_entropy, temperature=1.0).scores(tanh_net, weights, points)
    name, j = "2.weight", 3
    step, sides = 1e-5, []
    for sign in (1, -1):
        shrink = {n: torch.ones_like(w) for n, w in weights.items()}
        shrink[name].view(-1)[j] -= sign * step
        sides.append(flow(shrink).detach())
    change_on_removal = (sides[0] - sides[1]) / (2 * step)
    torch.testing.assert_close(scores[name].view(-1)[j], -change_on_removal / 2, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_in_training_mode_uses_the_batch_and_gives_its_statistics_back(images, training):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 2, 3, stride=2), nn.BatchNorm2d(2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3)
    ).double()  # fmt: skip
    net[1].running_mean.fill_(0.3)
    state = {n: b.clone() for n, b in net.named_buffers()}
    scores = GraSP(cross_entropy, training=training).scores(net, prunable(net), images)
    assert all(torch.equal(b, state[n]) for n, b in net.named_buffers())
    assert_close(scores, scores_by_hessian(net.train(training), images, 200.0), rtol=1e-7)


def test_streaming_is_exact_where_batches_do_not_interact(conv_net, images, joined):
    weights = prunable(conv_net)
    streamed = GraSP(cross_entropy, training=False).scores(conv_net, weights, images)
    assert_close(streamed, GraSP(cross_entropy, training=False).scores(conv_net, weights, joined(images)))


def test_data_that_can_be_read_once_is_enough(tanh_net, points):
    weights = prunable(tanh_net)
    expected = GraSP(cross_entropy).scores(tanh_net, weights, points)
    came = GraSP(cross_entropy).scores(tanh_net, weights, (batch for batch in points))
    assert all(torch.equal(came[n], expected[n]) for n in weights)


def test_inside_no_grad_the_curvature_is_not_lost(tanh_net, points):
    weights = prunable(tanh_net)
    expected = GraSP(cross_entropy).scores(tanh_net, weights, points)
    with torch.no_grad():
        came = GraSP(cross_entropy).scores(tanh_net, weights, points)
    assert all(torch.equal(came[n], expected[n]) for n in weights)


def test_a_loss_without_curvature_scores_zero(points):
    torch.manual_seed(0)
    net = nn.Linear(4, 3, bias=False).double()
    scores = GraSP(lambda out, _: out.sum(1).mean()).scores(net, prunable(net), points)
    assert scores["weight"].eq(0).all()


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 2, batch_first=True)
        self.fc = nn.Linear(2, 3)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][:, -1])


class Attentive(nn.Module):
    """Fused attention: its kernels have no second derivative unless the plain ones are asked for."""

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 3, activation="gelu", batch_first=True)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(self.layer(x).mean(1))


@pytest.mark.parametrize(("make", "width"), [(Recurrent, 3), (Attentive, 4)])
def test_recurrent_and_attention_layers_have_second_derivatives(make, width):
    torch.manual_seed(0)
    net = make().double().eval()
    batches = [(torch.randn(n, 5, width, dtype=torch.float64), torch.randint(3, (n,))) for n in (2, 3)]
    scores = GraSP(cross_entropy, 1.0, training=False).scores(net, prunable(net), batches)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert_close(scores, scores_by_hessian(net, batches, 1.0))


def test_other_losses_are_scored_at_the_divided_outputs(tanh_net, points):
    batches = [(x, torch.nn.functional.one_hot(y, 3).double()) for x, y in points]
    scores = GraSP(mse_loss, 2.0).scores(tanh_net, prunable(tanh_net), batches)
    assert_close(scores, scores_by_hessian(tanh_net, batches, 2.0, mse_loss))


@pytest.mark.parametrize("temperature", [0.0, -200.0, float("nan")])
def test_the_temperature_is_positive(temperature):
    with pytest.raises(ArgumentError, match=f"temperature.*got {temperature}"):
        GraSP(cross_entropy, temperature)
