"""Attention, recurrent layers and structured patterns, end to end: the mask acts where it says it does."""

import pytest
import torch
from torch import nn

from thresher.core.prunable import prunable
from thresher.criteria import Magnitude, Random
from thresher.patterns import Block, Channel, NofM
from thresher.procedures import prune
from thresher.schedules import Cubic, Exponential, Linear


def attention_by_hand(x, layer):
    """softmax(QKᵀ/√d)V per head, then the output projection, from the parameters alone."""
    batch, tokens, width = x.shape
    heads = layer.num_heads
    q, k, v = (x @ layer.in_proj_weight.T + layer.in_proj_bias).chunk(3, -1)
    q, k, v = (t.view(batch, tokens, heads, width // heads).transpose(1, 2) for t in (q, k, v))
    weights = torch.softmax(q @ k.transpose(-2, -1) / (width // heads) ** 0.5, -1)
    joined = (weights @ v).transpose(1, 2).reshape(batch, tokens, width)
    return joined @ layer.out_proj.weight.T + layer.out_proj.bias


@pytest.mark.parametrize("training", [True, False])  # evaluation takes another path through nn.MultiheadAttention
def test_attention_projections_are_really_pruned(training):
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(8, 2, batch_first=True).train(training)
    x = torch.randn(3, 5, 8)
    dense = layer(x, x, x)[0]
    mask = prune(layer, Magnitude(), sparsity=0.6, example=x, on_collapse="ignore")
    assert list(mask) == ["in_proj_weight", "out_proj.weight"]
    assert all(0 < sparsity < 1 for sparsity in mask.sparsities.values())
    mask.apply_(layer)
    assert torch.equal(layer.in_proj_weight == 0, ~mask["in_proj_weight"])
    assert torch.equal(layer.out_proj.weight == 0, ~mask["out_proj.weight"])
    with torch.no_grad():
        sparse = layer(x, x, x)[0]
        torch.testing.assert_close(sparse, attention_by_hand(x, layer), rtol=1e-4, atol=1e-6)
    assert not torch.allclose(sparse, dense, atol=1e-3)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 10, batch_first=True)
        self.fc = nn.Linear(10, 3)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][:, -1])


def test_a_pruned_lstm_computes_with_what_is_left():
    torch.manual_seed(0)
    net, x = Recurrent(), torch.randn(2, 4, 6)
    mask = prune(net, Magnitude(), sparsity=0.7)
    assert list(mask) == ["lstm.weight_ih_l0", "lstm.weight_hh_l0", "fc.weight"]
    assert mask.kept == round(0.3 * (240 + 400 + 30))
    mask.apply_(net)
    inward, across = net.lstm.weight_ih_l0, net.lstm.weight_hh_l0
    assert (torch.count_nonzero(inward) + torch.count_nonzero(across)) == mask.kept - mask.counts["fc.weight"]
    hidden = cell = torch.zeros(2, 10)
    for step in x.unbind(1):
        i, f, g, o = (step @ inward.T + hidden @ across.T + net.lstm.bias_ih_l0 + net.lstm.bias_hh_l0).chunk(4, -1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * cell.tanh()
    with torch.no_grad():
        torch.testing.assert_close(net(x), net.fc(hidden), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("schedule", [Linear(1), Cubic(4)])
@pytest.mark.parametrize("criterion", [Magnitude(), Random(torch.Generator().manual_seed(0))])
def test_n_of_m_has_its_density_in_every_group(net, criterion, schedule):
    mask = prune(net, criterion, pattern=NofM(1, 4), schedule=schedule, protect=["first"])
    assert mask.sparsities == {"conv1.weight": 0.0, "conv2.weight": 0.75, "fc.weight": 0.75}
    for name in ("conv2.weight", "fc.weight"):
        assert mask[name].unflatten(1, (-1, 4)).sum(2).eq(1).all()


def test_n_of_m_does_not_fill_up_a_group_with_what_the_starting_mask_removed(net):
    start = prune(net, Random(torch.Generator().manual_seed(2)), sparsity=0.6, protect=["first"])
    mask = prune(net, Magnitude(), pattern=NofM(2, 4), protect=["first"], start=start)
    assert (mask & start) == mask
    left = start["fc.weight"].unflatten(1, (-1, 4)).sum(2)
    assert torch.equal(mask["fc.weight"].unflatten(1, (-1, 4)).sum(2), left.clamp(max=2))


def test_n_of_m_on_the_way_removes_only_what_is_worst_in_its_group(net):
    mask = prune(net, Magnitude(), pattern=NofM(2, 8), schedule=Linear(6), protect=["conv1*"])
    best = prunable(net)["fc.weight"].detach().abs().unflatten(1, (-1, 8)).topk(2, dim=2).indices
    assert mask["fc.weight"].unflatten(1, (-1, 8)).gather(2, best).all()


@pytest.mark.parametrize("schedule", [Linear(1), Exponential(4)])
@pytest.mark.parametrize("sparsity", [0.3, 0.5, 0.8])
def test_channels_go_whole_and_the_total_is_as_near_as_they_allow(net, sparsity, schedule):
    mask = prune(net, Magnitude(), sparsity=sparsity, pattern=Channel(), schedule=schedule, on_collapse="ignore")
    for keep in mask.values():
        per_channel = keep.flatten(1).sum(1)
        assert set(per_channel.tolist()) <= {0, keep[0].numel()}
    # one tensor at most has a channel cut by the global count; the widest channel has 72 weights
    assert abs(mask.kept - 1040 * (1 - sparsity)) <= 36


def test_the_channels_that_stay_are_those_with_the_largest_mean(net):
    mask = prune(net, Magnitude(), sparsity=0.5, pattern=Channel(), on_collapse="ignore")
    means = [p.detach().abs().flatten(1).mean(1) for p in prunable(net).values()]
    kept = torch.cat([keep.flatten(1).any(1) for keep in mask.values()])
    flat = torch.cat(means)
    assert flat[kept].min() > flat[~kept].max()


def test_blocks_go_whole(net):
    mask = prune(net, Magnitude(), sparsity=0.5, pattern=Block((2, 2)), schedule=Linear(3), on_collapse="ignore")
    for keep in mask.values():
        blocks = keep.flatten(2) if keep.dim() > 2 else keep[..., None]
        blocks = blocks.unflatten(0, (-1, 2)).unflatten(2, (-1, 2)).sum((1, 3, 4))
        assert set(blocks.unique().tolist()) <= {0, 4 * (keep[0, 0].numel())}
    assert abs(mask.kept - 520) <= 18
