"""Function name → how signal passes it."""

from thresher.analysis import flow_rules as rules
from thresher.analysis import pooling
from thresher.analysis.flow_rules import Rule
from thresher.analysis.tracing import OPERANDS

_COPIES = """
    clone contiguous detach .data .real real requires_grad to cpu cuda float half double bfloat16 type type_as long int
    positive dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout
    clamp clip clamp_min clamp_max nan_to_num
"""
_ACTIVATIONS = """
    relu relu6 leaky_relu prelu rrelu elu selu celu gelu silu mish hardswish hardtanh tanh tanhshrink softsign
    softshrink hardshrink threshold log_sigmoid log_softmax abs neg sign square sqrt rsqrt reciprocal log log1p log2
    log10 expm1 sin sinh asinh atan erf round floor ceil trunc pow normalize local_response_norm
"""
_GATES = "sigmoid hardsigmoid softmax softmin gumbel_softmax exp exp2 softplus cos cosh"
_SUMS = "add radd iadd sub rsub isub subtract maximum minimum fmax fmin hypot"
_PRODUCTS = "mul rmul imul multiply div rdiv idiv truediv divide true_divide"
_MOVES = """
    view view_as reshape reshape_as flatten unflatten ravel squeeze unsqueeze transpose t permute movedim moveaxis
    swapaxes swapdims .T .mT .H .mH atleast_1d atleast_2d atleast_3d as_strided
    cat concat concatenate stack hstack vstack chunk split split_with_sizes tensor_split unbind
    getitem select narrow index_select gather take_along_dim diagonal diag diag_embed tril triu
    expand expand_as broadcast_to broadcast_tensors repeat repeat_interleave tile flip fliplr flipud roll rot90
    unfold fold pixel_shuffle pixel_unshuffle channel_shuffle interpolate upsample
    pack_padded_sequence pad_packed_sequence
    mean sum nansum cumsum trace avg_pool1d avg_pool2d avg_pool3d
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
"""

RULES: dict[str, Rule] = {
    **dict.fromkeys(_COPIES.split(), rules.copied),
    **dict.fromkeys(_ACTIVATIONS.split(), rules.passed_on),
    **dict.fromkeys(_GATES.split(), rules.gate),
    **dict.fromkeys(rules.NORMS, rules.norm),
    **dict.fromkeys(_SUMS.split(), rules.addition),
    **dict.fromkeys(_PRODUCTS.split(), rules.product),
    **dict.fromkeys(OPERANDS, rules.contraction),
    "einsum": rules.einsum,
    **dict.fromkeys(_MOVES.split(), rules.move),
    "masked_fill": rules.masked,
    "where": rules.where,
    "embedding": rules.embedding,
    "one_hot": rules.one_hot,
    "pad": rules.pad,
    "setitem": rules.written,
    "copy": rules.written,
    "zero": rules.erased,
    "fill": rules.erased,
    **{f"max_pool{n}d{kind}": pooling.max_pool for n in (1, 2, 3) for kind in ("", "_with_indices")},
    **{f"adaptive_max_pool{n}d": pooling.adaptive_max_pool for n in (1, 2, 3)},
    **dict.fromkeys(["max", "amax", "min", "amin", "logsumexp"], pooling.extremum),
}

# new tensors in the shape of one with signal: constants
_NEW = """
    zeros_like ones_like empty_like full_like rand_like randn_like new_zeros new_ones new_empty new_full new_tensor
"""
CONSTANTS = frozenset(_NEW.split())
