"""Thresher: every masked layer sparse, whether the cost model would choose it or not."""

from torch import Tensor, nn

from thresher.bench.contender import Contender, Variant
from thresher.core.mask import Mask
from thresher.layers import sparsify


def _build(model: nn.Module, mask: Mask, inputs: Tensor) -> nn.Module:
    return sparsify(model, mask, policy="always", example=inputs)


THRESHER = Contender(
    {
        "contiguous": Variant(_build),
        # how a layer inside a network gets its inputs
        "batch-innermost": Variant(_build, "batch-innermost", "layer"),
    }
)
