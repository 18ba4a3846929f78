"""The spelled-out attention gives the numbers of torch's own."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thresher.analysis import unfused
from thresher.core import ThresherError, generator


def drawn(*shape):
    return torch.randn(shape, generator=generator(0, f"{shape}"), dtype=torch.float64)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": 0.3},
        {"is_causal": True},
        {"attn_mask": torch.eye(5, 7).logical_not()},
        {"attn_mask": drawn(5, 7)},
    ],
)
def test_scaled_dot_product_attention(options):
    q, k, v = drawn(2, 4, 5, 6), drawn(2, 4, 7, 6), drawn(2, 4, 7, 3)
    found = unfused.scaled_dot_product_attention(q, k, v, **options)
    torch.testing.assert_close(found, F.scaled_dot_product_attention(q, k, v, **options))


def test_grouped_queries():
    q, k, v = drawn(2, 4, 5, 6), drawn(2, 2, 7, 6), drawn(2, 2, 7, 3)
    found = unfused.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    torch.testing.assert_close(found, F.scaled_dot_product_attention(q, k, v, enable_gqa=True))


def randomised(module):
    with torch.no_grad():
        for name, p in module.named_parameters():
            p.copy_(drawn(*p.shape) + len(name) / 40)
    return module


@pytest.mark.parametrize(
    "options", [{}, {"add_bias_kv": True, "add_zero_attn": True}, {"kdim": 5, "vdim": 3}, {"bias": False}]
)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("batched", [False, True])
def test_multi_head_attention(options, masked, average, batched):
    module = randomised(nn.MultiheadAttention(8, 2, dtype=torch.float64, **options))
    q, k, v = drawn(4, 3, 8), drawn(6, 3, module.kdim), drawn(6, 3, module.vdim)
    masks = {}
    if masked:
        masks = {"attn_mask": drawn(4, 6) > 1, "key_padding_mask": torch.arange(6).expand(3, 6) > 4}
    if not batched:
        q, k, v = q[:, 0], k[:, 0], v[:, 0]
        masks = {name: mask if name == "attn_mask" else mask[0] for name, mask in masks.items()}
    masks["average_attn_weights"] = average
    separate = {}
    if module.in_proj_weight is None:
        names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
        separate = {"use_separate_proj_weight": True} | {name: getattr(module, name) for name in names}
    found = unfused.multi_head_attention_forward(
        q, k, v, 8, 2, module.in_proj_weight, module.in_proj_bias, module.bias_k, module.bias_v,
        module.add_zero_attn, 0.0, module.out_proj.weight, module.out_proj.bias, **separate, **masks,
    )  # fmt: skip
    torch.testing.assert_close(found, module(q, k, v, **masks))


def test_masks_per_head_and_given_keys():
    weights = (drawn(24, 8), drawn(24), None, None, False, 0.0, drawn(8, 8), drawn(8))
    q, k, keys = drawn(4, 3, 8), drawn(6, 3, 8), drawn(6, 6, 4)
    options = {"attn_mask": drawn(6, 4, 6), "static_k": keys, "static_v": keys + 1}
    expected = F.multi_head_attention_forward(q, k, k, 8, 2, *weights, **options)
    torch.testing.assert_close(unfused.multi_head_attention_forward(q, k, k, 8, 2, *weights, **options), expected)


def test_weights_are_not_returned_when_not_needed():
    weights = (drawn(24, 8), None, None, None, False, 0.0, drawn(8, 8), None)
    q = drawn(4, 3, 8)
    assert unfused.multi_head_attention_forward(q, q, q, 8, 2, *weights, need_weights=False)[1] is None


def test_a_missing_projection_is_named():
    q = drawn(4, 3, 8)
    with pytest.raises(ThresherError, match="v_proj_weight"):
        unfused.multi_head_attention_forward(q, q, q, 8, 2, None, None, None, None, False, 0.0, drawn(8, 8), None)
