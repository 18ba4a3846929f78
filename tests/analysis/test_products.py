"""Attention against Boolean algebra in NumPy, gates, and every spelling of a matrix product."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thresher.analysis import collapse
from thresher.core import Mask

WIDTH, HEADS, TOKENS = 6, 2, 4


class WithModule(nn.Module):
    def __init__(self):
        super().__init__()
        self.before = nn.Linear(WIDTH, WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

    def forward(self, x):
        x = self.before(x)
        return self.attention(x, x, x, need_weights=False)[0]


class ByHand(WithModule):
    def forward(self, x):
        x = self.before(x)
        qkv = F.linear(x, self.attention.in_proj_weight, self.attention.in_proj_bias)
        q, k, v = qkv.view(1, TOKENS, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        attention = ((q @ k.mT) / math.sqrt(WIDTH // HEADS)).softmax(-1)
        return self.attention.out_proj((attention @ v).transpose(1, 2).reshape(1, TOKENS, WIDTH))


class ByFusion(WithModule):
    def forward(self, x):
        q, k, v = F.linear(self.before(x), self.attention.in_proj_weight).chunk(3, -1)
        q, k, v = (t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.attention.out_proj(mixed.transpose(1, 2).flatten(2))


def expected_attention(mask):
    """Effective weights by name, in Boolean algebra on features: every token is like every other."""
    before, packed, out = (mask[n].numpy() for n in mask)
    x = before.any(1)
    rows_q, rows_k, rows_v = np.split(packed, 3)
    q, k, v = ((rows @ x) > 0 for rows in (rows_q, rows_k, rows_v))
    read_mixed = out.any(0)
    head = np.arange(WIDTH) // (WIDTH // HEADS)
    scores_read = np.array([(read_mixed & v)[head == h].any() for h in head])
    read_q, read_k = scores_read & k, scores_read & q
    effective = [rows & np.outer(read, x) for rows, read in ((rows_q, read_q), (rows_k, read_k), (rows_v, read_mixed))]
    read_x = (
        sum(
            (rows.T @ read).astype(int)
            for rows, read in zip((rows_q, rows_k, rows_v), (read_q, read_k, read_mixed), strict=True)
        )
        > 0
    )
    return [before & read_x[:, None], np.concatenate(effective), out & v], bool((out @ v).any())


@pytest.mark.parametrize("form", [WithModule, ByHand, ByFusion])
@pytest.mark.parametrize("seed", range(8))
def test_attention(form, draw_mask, seed):
    model = form()
    mask = draw_mask(model, 0.75, seed)
    effective, connected = expected_attention(mask)
    found = collapse(model, mask, torch.ones(1, TOKENS, WIDTH))
    assert [keep.tolist() for keep in found.effective.values()] == [keep.tolist() for keep in effective]
    assert found.disconnected == (not connected)
    assert found.notes == ()


@pytest.mark.parametrize("form", [WithModule, ByHand, ByFusion])
def test_attention_lives_by_its_values_alone(form):
    model = form()
    keep = {n: torch.ones(p.shape, dtype=torch.bool) for n, p in model.named_parameters() if p.dim() == 2}
    x = torch.ones(1, TOKENS, WIDTH)
    no_queries, no_values = (Mask({n: t.clone() for n, t in keep.items()}) for _ in range(2))
    no_queries["attention.in_proj_weight"][:WIDTH] = False
    no_values["attention.in_proj_weight"][2 * WIDTH :] = False
    found = collapse(model, no_queries, x)
    assert not found.disconnected
    assert found.units_without_input["attention.in_proj_weight"] == tuple(range(WIDTH))
    assert found.units_without_output["attention.in_proj_weight"] == tuple(range(WIDTH, 2 * WIDTH))  # the keys
    assert collapse(model, no_values, x).disconnected


class Gated(nn.Module):
    def __init__(self, gate, body):
        super().__init__()
        self.gate, self.body = gate, body
        self.left, self.right = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)

    def forward(self, x):
        return self.body(self.right(x)) * self.gate(self.left(x))


def linear(x):
    return x


@pytest.mark.parametrize(
    ("gate", "body", "alive"),
    [
        (linear, torch.tanh, [False, False]),  # unit 0 has no right factor, unit 1 no left one
        (torch.sigmoid, linear, [False, True]),  # the open gate of unit 1 lets its right factor pass
        (linear, torch.sigmoid, [True, False]),
        (lambda x: 1 - x.sigmoid(), linear, [False, True]),
        (lambda x: 2 * F.dropout(x.softmax(-1)).view(1, 2), linear, [False, True]),
        (torch.sigmoid, torch.exp, [True, True]),
        (lambda x: 0 * x, torch.sigmoid, [False, False]),
    ],
)
def test_a_gate_is_never_shut_and_a_plain_factor_is_needed(gate, body, alive):
    left, right = torch.zeros(2, 2, dtype=torch.bool), torch.zeros(2, 2, dtype=torch.bool)
    left[0, 0] = right[1, 1] = True
    found = collapse(Gated(gate, body), Mask({"left.weight": left, "right.weight": right}), torch.ones(1, 2))
    assert found.disconnected == (not any(alive))
    assert found.effective["left.weight"].nonzero().tolist() == ([[0, 0]] if alive[0] else [])
    assert found.effective["right.weight"].nonzero().tolist() == ([[1, 1]] if alive[1] else [])


class Spelled(nn.Module):
    def __init__(self, spelling, shape=(3, 4)):
        super().__init__()
        self.weight, self.spelling = nn.Parameter(torch.randn(shape)), spelling

    def forward(self, x):  # [1, 4] → [1, 3]
        return self.spelling(x, self.weight)


SPELLINGS = {
    "linear": F.linear,
    "keywords": lambda x, w: F.linear(weight=w, input=x),
    "matmul": lambda x, w: x @ w.T,
    "left": lambda x, w: (w @ x.mT).mT,
    "mv": lambda x, w: torch.mv(w, x[0]).unsqueeze(0),
    "mm": lambda x, w: x.mm(w.t()),
    "bmm": lambda x, w: torch.bmm(x.unsqueeze(0), w.T.unsqueeze(0))[0],
    "addmm": lambda x, w: torch.addmm(torch.ones(3), x, w.T),
    "addmv": lambda x, w: torch.addmv(torch.ones(3), w, x[0]).unsqueeze(0),
    "baddbmm": lambda x, w: torch.baddbmm(torch.ones(1, 1, 3), x.unsqueeze(0), w.T.unsqueeze(0))[0],
    "addbmm": lambda x, w: torch.addbmm(torch.ones(1, 3), x.unsqueeze(0), w.T.unsqueeze(0)),
    "conv1d": lambda x, w: F.conv1d(x.unsqueeze(-1), w.unsqueeze(-1)).squeeze(-1),
    "conv3d": lambda x, w: F.conv3d(x.reshape(4, 1, 1, 1), w.reshape(3, 4, 1, 1, 1)).reshape(1, 3),
    "rows": lambda x, w: torch.cat([F.linear(x, w[:1]), F.linear(x, w[1:])], 1),
    "bilinear": lambda x, w: F.bilinear(torch.sigmoid(x[:, :1]), x, w.unsqueeze(1)),
}
WITHOUT_UNITS = {
    "einsum": lambda x, w: torch.einsum("bi,oi->bo", x, w),
    "einsum of a list": lambda x, w: torch.einsum("bi,oi->bo", [x, w]),
    "tensordot": lambda x, w: torch.tensordot(x, w, ([1], [1])),
    "elementwise": lambda x, w: (x.unsqueeze(1) * w).sum(-1),
}


@pytest.mark.parametrize("name", [*SPELLINGS, *WITHOUT_UNITS])
def test_every_spelling_of_a_linear_map(name, draw_mask):
    keep = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 0]], dtype=torch.bool)
    before = torch.diag(torch.tensor([True, True, False, True]))
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), Spelled((SPELLINGS | WITHOUT_UNITS)[name]))
    found = collapse(model, Mask({"0.weight": before, "2.weight": keep}), torch.ones(1, 4))
    assert found.effective["2.weight"].tolist() == (keep & before.any(1)).tolist()
    assert found.units_without_output["0.weight"] == (3,)
    assert found.notes == ()
    assert found.units_without_input.get("2.weight") == ((1,) if name in SPELLINGS else None)


def test_masked_bias_of_addmm():
    class Biased(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.randn(2, 3)), nn.Parameter(torch.randn(3))

        def forward(self, x):
            return torch.addmm(self.bias, x, self.weight)

    keep = torch.tensor([[True, False, False], [False, False, True]])
    mask = Mask({"weight": keep, "bias": torch.tensor([True, True, False])})
    assert collapse(Biased(), mask, torch.ones(1, 2)).effective["bias"].tolist() == [True, False, False]


@pytest.mark.parametrize(
    "spelling",
    [
        lambda x, w: torch.addmm(x, x, w),
        lambda x, w: torch.baddbmm(x.unsqueeze(0), x.unsqueeze(0), w.unsqueeze(0))[0],
        lambda x, w: torch.addbmm(x, x.unsqueeze(0), w.unsqueeze(0)),
    ],
)
def test_a_product_added_to_a_signal(spelling):
    mask = Mask({"weight": torch.zeros(4, 4, dtype=torch.bool)})
    found = collapse(Spelled(spelling, (4, 4)), mask, torch.ones(1, 4))
    assert not found.disconnected
    assert found.units_without_input["weight"] == (0, 1, 2, 3)
