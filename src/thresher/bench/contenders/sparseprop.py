"""SparseProp 0.1.14 (Nikdan et al. 2023), in both of its modes and as it chooses between them itself."""

import contextlib
import copy
import importlib
import io
from functools import partial

from torch import Tensor, nn

from thresher.bench.contender import Contender, Unable, Variant, swapped
from thresher.core.mask import Mask
from thresher.core.seeds import isolated_random_state


def _over(width: bool, model: nn.Module, mask: Mask, inputs: Tensor) -> nn.Module:
    if width and not any(isinstance(module, nn.Conv2d) for module in model.modules()):
        raise Unable("no convolution")
    layers = importlib.import_module("sparseprop.modules")

    def make(layer: nn.Module, keep: Tensor) -> nn.Module:
        if isinstance(layer, nn.Linear):
            sparse: nn.Module = layers.SparseLinear.from_dense(layer)
        elif isinstance(layer, nn.Conv2d):
            sparse = layers.SparseConv2d.from_dense(layer, vectorizing_over_on=width)
        else:
            raise Unable("linear and convolutional layers only")
        return sparse

    return _made_usable(swapped(model, mask, make))


def _own_choice(model: nn.Module, mask: Mask, inputs: Tensor) -> nn.Module:
    if not all(isinstance(model.get_submodule(name.rpartition(".")[0]), nn.Linear | nn.Conv2d) for name in mask):
        raise Unable("linear and convolutional layers only")
    utils = importlib.import_module("sparseprop.utils")
    # it times each layer once on random inputs, and prints what it does
    with isolated_random_state(0), contextlib.redirect_stdout(io.StringIO()):
        return _made_usable(utils.swap_modules_with_sparse(copy.deepcopy(model), tuple(inputs.shape), inplace=True))


def _made_usable(model: nn.Module) -> nn.Module:
    """`model` with every SparseProp layer given the memory it expects, and its indices in view.

    Its linear layer and its mode over the width take any tensor for contiguous, and compute something else if it is
    not: behind a convolution over the batch, for one. The indices, plain attributes, become buffers, to be counted.
    """
    layers = importlib.import_module("sparseprop.modules")
    for module in list(model.modules()):
        if isinstance(module, layers.SparseLinear | layers.SparseConv2d):
            if getattr(module, "vectorizing_over_on", True):
                module.register_forward_pre_hook(_contiguous_inputs)
                module.register_forward_hook(_contiguous_gradient)
            for place, index in enumerate(module.W_idx):
                module.register_buffer(f"index{place}", index, persistent=False)
    return model


def _contiguous_inputs(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0].contiguous(),)


def _contiguous_gradient(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
    if output.requires_grad:
        output.register_hook(Tensor.contiguous)  # type: ignore[no-untyped-call]


SPARSEPROP = Contender(
    {
        "over the batch": Variant(partial(_over, False)),
        # its kernel wants the batch innermost: spared the transposing, as it would be behind a layer of its own
        "over the batch, innermost": Variant(partial(_over, False), "batch-innermost", "layer"),
        "over the width": Variant(partial(_over, True)),
        "its own choice": Variant(_own_choice, kind="network"),
    },
    package="sparseprop",
)
