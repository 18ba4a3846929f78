"""Costs against torch's own flop counter, closed forms, and brute-force counting."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from thresher.analysis import cost
from thresher.core import Mask, ThresherError, generator, prunable
from thresher.core.errors import MaskMismatchError


def drawn_mask(model, sparsity=0.6, seed=0, **kinds):
    g = generator(seed, "mask")
    return Mask({n: torch.rand(p.shape, generator=g) >= sparsity for n, p in prunable(model, **kinds).items()})


def macs_by_torch(model, example):
    counter = FlopCounterMode(display=False)
    model.train()  # fused kernels hide from the counter
    with counter, sdpa_kernel(SDPBackend.MATH):
        model(example)
    return counter.get_total_flops() // 2


class SelfAttention(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **options)

    def forward(self, x):
        if self.attention.kdim == 8:
            return self.attention(x, x, x)
        return self.attention(x, x[..., :5], x[..., :3], need_weights=False)


class Fused(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.kv = nn.Linear(8, 8), nn.Linear(8, 16)

    def forward(self, x):
        k, v = self.kv(x).chunk(2, -1)
        return nn.functional.scaled_dot_product_attention(self.q(x), k, v, is_causal=True)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(6, 4)), nn.Parameter(torch.randn(4, 4))
        self.c = nn.Parameter(torch.randn(2, 5, 4, 3))

    def forward(self, x):  # [1, 5, 6]
        y = torch.addmm(torch.ones(4), x[0] @ self.a, self.b)
        z = torch.einsum("bti,tij->btj", y.unsqueeze(0), self.c[1])
        return torch.tensordot(torch.baddbmm(torch.ones(1, 5, 5), z, z.mT), self.c[0], ([2], [0]))


class Frames(nn.Module):
    def __init__(self):
        super().__init__()
        self.see, self.back = nn.Conv2d(2, 3, 3), nn.ConvTranspose2d(3, 1, 2)

    def forward(self, x):  # [1, time, 2, 8, 8]: every frame is an image of the batch
        return self.back(self.see(x.flatten(0, 1))), self.see(x[0, 0])


DENSE = [
    (nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3, bias=False)), (1, 5, 6)),
    (nn.Sequential(nn.Conv1d(4, 6, 3, stride=2, groups=2), nn.ConvTranspose1d(6, 4, 4, dilation=2)), (1, 4, 11)),
    (nn.Sequential(nn.Conv2d(3, 6, 3, padding=2, dilation=2), nn.BatchNorm2d(6), nn.Conv2d(6, 6, 1)), (1, 3, 7, 9)),
    (nn.Sequential(nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, output_padding=1)), (1, 4, 5, 6)),
    (nn.Sequential(nn.Conv3d(2, 3, (1, 2, 3)), nn.ConvTranspose3d(3, 2, 2)), (1, 2, 4, 4, 4)),
    (SelfAttention(), (1, 5, 8)),
    (SelfAttention(add_bias_kv=True, add_zero_attn=True), (1, 5, 8)),
    (SelfAttention(kdim=5, vdim=3), (1, 5, 8)),
    (nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True), 2), (1, 7, 8)),
    (Fused(), (1, 5, 8)),
    (Functional(), (1, 5, 6)),
    (Frames(), (1, 4, 2, 8, 8)),
]


@pytest.mark.parametrize(("model", "shape"), DENSE)
def test_dense_macs_are_half_the_flops_torch_counts(model, shape):
    example = torch.ones(shape)
    expected = macs_by_torch(copy.deepcopy(model), example)
    found = cost(model, example=example)
    assert found.dense_macs == found.kept_macs == expected
    assert found.theoretical_speedup == 1.0


def test_attention_products_are_unweighted_and_stay_under_any_mask():
    model, tokens, width = SelfAttention(), 5, 8
    found = cost(model, drawn_mask(model), torch.ones(1, tokens, width))
    assert found.unweighted_macs == 2 * tokens * tokens * width
    assert found.kept_macs == found.unweighted_macs + sum(
        layer.kept * tokens for layer in found.layers if layer.name.endswith("weight")
    )


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("batch_first", [True, False])
def test_recurrent_weights_are_used_once_a_time_step(kind, batch_first):
    model = kind(3, 4, num_layers=2, bidirectional=True, batch_first=batch_first)
    steps = 6
    mask = drawn_mask(model)
    found = cost(model, mask, torch.ones(1, 6, 3) if batch_first else torch.ones(6, 1, 3))
    for layer in found.layers:
        is_weight = layer.name.startswith("weight")
        assert layer.dense_macs == (layer.total * steps if is_weight else 0)
        assert layer.kept_macs == (mask.counts[layer.name] * steps if is_weight else 0)
    assert found.unweighted_macs == 0


@pytest.mark.filterwarnings("ignore:LSTM with projections")  # torch's remark on which kernel it takes
def test_recurrent_cells_and_projections():
    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.cell = nn.LSTM(3, 4, batch_first=True, proj_size=2), nn.GRUCell(2, 5)

        def forward(self, x):
            packed = nn.utils.rnn.pack_padded_sequence(x, [x.shape[1]], batch_first=True)
            return self.cell(self.lstm(packed)[0].data[-1:])

    found = cost(Decoder(), None, torch.ones(1, 6, 3))
    assert found.dense_macs == 6 * (16 * 3 + 16 * 2 + 2 * 4) + 15 * 2 + 15 * 5


def kept_convolution_macs(x: Tensor, conv: nn.Conv2d, keep: np.ndarray) -> int:
    """Every multiply-add of the definition, counted one by one; the zero margin multiplies too."""
    height, width = (
        (x.shape[2 + d] + 2 * conv.padding[d] - conv.dilation[d] * (conv.kernel_size[d] - 1) - 1) // conv.stride[d] + 1
        for d in (0, 1)
    )
    count = 0
    for _ in range(height * width):
        for out in range(keep.shape[0]):
            for inside in range(keep.shape[1]):
                for row in range(keep.shape[2]):
                    count += int(keep[out, inside, row].sum())
    return count


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"groups": 2, "dilation": 2}])
def test_kept_macs_of_a_convolution_against_a_count(options):
    conv = nn.Conv2d(4, 6, 3, **options)
    mask, x = drawn_mask(conv), torch.ones(1, 4, 8, 7)
    found = cost(conv, mask, x)
    assert found.kept_macs == kept_convolution_macs(x, conv, mask["weight"].numpy())
    assert found.dense_macs == kept_convolution_macs(x, conv, np.ones(conv.weight.shape, dtype=bool))


@pytest.mark.parametrize(
    ("product", "macs"),
    [  # weight [3, 4], input [1, 2, 4]: what torch's counter does not see
        (lambda x, w: torch.mv(w, x[0, 0]), 12),
        (lambda x, w: torch.addmv(torch.ones(3), w, x[0, 0]), 12),
        (lambda x, w: torch.dot(w[0], x[0, 0]), 4),
        (lambda x, w: torch.inner(x, w), 24),
        (lambda x, w: torch.addbmm(torch.ones(2, 3), x, w.T.unsqueeze(0)), 24),
        (lambda x, w: nn.functional.bilinear(x, x[..., :1], w.unsqueeze(-1)), 24),
    ],
)
def test_other_products(product, macs):
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3, 4))

        def forward(self, x):
            return product(x, self.weight)

    half = torch.tensor([[True, False, True, False]] * 3)
    found = cost(Product(), Mask({"weight": half}), torch.ones(1, 2, 4))
    assert (found.dense_macs, found.kept_macs, found.unweighted_macs) == (macs, macs // 2, 0)


def test_slices_of_a_weight_carry_their_part_of_the_mask():
    class Sliced(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 6))

        def forward(self, x):  # top rows on every one of five tokens, right columns of them, transposed, on one
            y = nn.functional.linear(x, self.weight[:2])
            return y[:, :1] @ self.weight[:2, 3:], x[:, :1] @ self.weight.T

    keep = torch.zeros(4, 6, dtype=torch.bool)
    keep[0, 0] = keep[1, 4] = keep[3, 5] = True
    found = cost(Sliced(), Mask({"weight": keep}), torch.ones(1, 5, 6))
    assert found.kept_macs == 5 * 2 + 1 + 3
    assert found.dense_macs == 5 * 12 + 6 + 24


def test_a_shared_weight_is_one_row_with_the_macs_of_both_uses():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.second = nn.Linear(4, 4, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(self.first(x))

    model = Tied()
    keep = torch.eye(4, dtype=torch.bool)
    for name in ("first.weight", "second.weight"):  # either name of the tensor will do
        found = cost(model, Mask({name: keep}))
        assert [(layer.name, layer.total, layer.kept) for layer in found.layers] == [
            ("first.weight", 16, 4),
            ("first.bias", 4, 4),
        ]
        assert (found.parameters, found.kept_parameters) == (20, 8)
        assert (found.dense_macs, found.kept_macs) == (32, 8)


def test_ratios_count_the_whole_model():
    model = nn.Sequential(nn.Linear(10, 5), nn.BatchNorm1d(5), nn.Linear(5, 2))
    mask = drawn_mask(model, sparsity=0.8, biases=True, norms=True)
    found = cost(model, mask)
    parameters = sum(p.numel() for p in model.parameters())
    assert found.parameters == parameters
    assert found.kept_parameters == parameters - (mask.total - mask.kept)
    assert found.compression_ratio == parameters / found.kept_parameters
    assert found.theoretical_speedup == (50 + 10) / (mask.counts["0.weight"] + mask.counts["2.weight"])
    norm = next(layer for layer in found.layers if layer.name == "1.weight")
    assert (norm.dense_macs, norm.sparsity) == (0, mask.sparsities["1.weight"])


def test_nothing_kept_is_infinitely_small_and_fast():
    model = nn.Linear(3, 2, bias=False)
    found = cost(model, Mask({"weight": torch.zeros(2, 3, dtype=torch.bool)}))
    assert found.compression_ratio == found.theoretical_speedup == float("inf")


def test_lenet_300_100_at_published_size():
    model = nn.Sequential(nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))
    found = cost(model)
    assert found.parameters == 266_610  # 266.2k weights and 410 biases
    assert found.dense_macs == 266_200


def test_one_example_whatever_the_batch_given():
    model = nn.Conv2d(1, 2, 3)
    assert cost(model, None, torch.ones(64, 1, 8, 8)) == cost(model, None, torch.ones(1, 1, 8, 8))


def test_the_model_is_untouched():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(72, 2))
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    cost(model, drawn_mask(model), torch.ones(1, 1, 8, 8))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert all(module.training for module in model.modules())
    assert all(p.grad is None for p in model.parameters())


def test_a_foreign_mask_and_an_unknown_shape_are_refused():
    with pytest.raises(MaskMismatchError, match=r"other\.weight"):
        cost(nn.Linear(2, 2), Mask({"other.weight": torch.ones(2, 2, dtype=torch.bool)}))
    with pytest.raises(ThresherError, match="example="):
        cost(nn.Conv2d(1, 1, 3))
