"""Attention spelled out in linear maps and matrix products, so that whoever traces it sees every weight."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from thresher.analysis.tracing import TorchFunction
from thresher.core.errors import ArgumentError


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(QKᵀ·scale + mask)·V, as ``torch.nn.functional.scaled_dot_product_attention`` without dropout.

    >>> q = torch.ones(1, 2, 3, 4)
    >>> scaled_dot_product_attention(q, q, q).shape
    torch.Size([1, 2, 3, 4])
    """
    if enable_gqa:
        key = key.repeat_interleave(query.size(-3) // key.size(-3), -3)
        value = value.repeat_interleave(query.size(-3) // value.size(-3), -3)
    if is_causal:
        attn_mask = torch.ones(query.size(-2), key.size(-2), dtype=torch.bool, device=query.device).tril()
    return torch.matmul(_attention(query, key, attn_mask, scale), value)


def _attention(query: Tensor, key: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
    scale = 1 / math.sqrt(query.size(-1)) if scale is None else scale
    scores = torch.matmul(query, key.transpose(-2, -1)) * scale
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype is torch.bool else scores + mask
    return torch.softmax(scores, -1)


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """The output and attention weights of ``torch.nn.functional.multi_head_attention_forward``, without dropout.

    Arguments and shapes are that function's: [length, batch, features] or [length, features]. `static_k` and
    `static_v` ([batch·heads, length, features/heads]) stand in for the projected keys and values.
    """
    batched = query.dim() == 3
    if not batched:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    if in_proj_weight is not None and not use_separate_proj_weight:
        q_proj_weight, k_proj_weight, v_proj_weight = in_proj_weight.chunk(3)
    if q_proj_weight is None or k_proj_weight is None or v_proj_weight is None:
        raise ArgumentError("attention takes in_proj_weight, or q_, k_ and v_proj_weight: some of them are None")
    q_bias, k_bias, v_bias = (None, None, None) if in_proj_bias is None else in_proj_bias.chunk(3)
    q = F.linear(query, q_proj_weight, q_bias)
    k = F.linear(key, k_proj_weight, k_bias)
    v = F.linear(value, v_proj_weight, v_bias)
    length, batch, width = q.shape

    def heads(t: Tensor) -> Tensor:  # [length, batch, width] → [batch, heads, length, width/heads]
        return t.reshape(-1, batch, num_heads, width // num_heads).permute(1, 2, 0, 3)

    if bias_k is not None and bias_v is not None:
        k = torch.cat([k, bias_k.expand(1, batch, width)])
        v = torch.cat([v, bias_v.expand(1, batch, width)])
    q_BHLD, k_BHSD, v_BHSD = heads(q), heads(k), heads(v)
    if static_k is not None:
        k_BHSD = static_k.reshape(batch, num_heads, -1, width // num_heads)
    if static_v is not None:
        v_BHSD = static_v.reshape(batch, num_heads, -1, width // num_heads)
    if add_zero_attn:
        k_BHSD, v_BHSD = F.pad(k_BHSD, (0, 0, 0, 1)), F.pad(v_BHSD, (0, 0, 0, 1))
    mask = _bias_of_scores(attn_mask, key_padding_mask, batch, num_heads, k_BHSD)
    attention_BHLS = _attention(q_BHLD, k_BHSD, mask, None)
    mixed = torch.matmul(attention_BHLS, v_BHSD).permute(2, 0, 1, 3).reshape(length, batch, width)
    output = F.linear(mixed, out_proj_weight, out_proj_bias)
    weights = attention_BHLS.mean(1) if average_attn_weights else attention_BHLS
    if not batched:
        output, weights = output.squeeze(1), weights.squeeze(0)
    return output, weights if need_weights else None


def _bias_of_scores(
    attn_mask: Tensor | None, padding: Tensor | None, batch: int, num_heads: int, k_BHSD: Tensor
) -> Tensor | None:
    """Both masks as one additive [batch or 1, heads or 1, queries or 1, keys], open for the appended keys."""
    total: Tensor | None = None
    for mask in (attn_mask, padding):
        if mask is None:
            continue
        if mask is padding:
            mask = mask.reshape(batch, 1, 1, -1)
        elif mask.dim() == 3:
            mask = mask.reshape(batch, num_heads, mask.size(1), -1)
        if mask.dtype is torch.bool:
            mask = torch.zeros(mask.shape, dtype=k_BHSD.dtype, device=mask.device).masked_fill(mask, -math.inf)
        mask = F.pad(mask, (0, k_BHSD.size(-2) - mask.size(-1)))
        total = mask if total is None else total + mask
    return total


# plain name → the same function in parts that a TorchFunctionMode can see
UNFUSED: dict[str, TorchFunction] = {
    "multi_head_attention_forward": multi_head_attention_forward,
    "scaled_dot_product_attention": scaled_dot_product_attention,
}
