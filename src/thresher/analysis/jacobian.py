"""Singular values of the input–output Jacobian, example by example: how a network stretches what it reads."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from thresher.analysis.singular_values import SingularValues, examples_at_once, pooled, singular_values
from thresher.core.batch import Data, read_batches
from thresher.core.errors import ArgumentError, NonFiniteError
from thresher.core.mask import Mask
from thresher.core.prunable import device_of
from thresher.core.seeds import generator
from thresher.core.untouched import call_with, untouched


def jacobian_singular_values(
    model: nn.Module, data: Data, *, mask: Mask | None = None, seed: int = 0
) -> SingularValues:
    """The singular values of J = ∂ outputs / ∂ inputs of each example in `data`, pooled over the examples.

    data: (inputs, targets) batches; inputs are floating point [B, …], targets are not looked at.
    mask: removed weights count as zero. seed: of the random vectors, where the Jacobian is too large to write out.

    Each example has a Jacobian of its own; that of a batch's mean would be another thing. Evaluation mode: batch
    normalization in training mode mixes examples, and dropout has no one derivative. Everything is computed in
    float64, since a condition number of 1e9 is below float32's rounding. Layers may be dense or sparse and work in
    place. Outputs × inputs up to 512 rows and 256 MiB an example are decomposed exactly, fewer at a time where there
    is no room for the whole batch; larger ones by the estimate in `singular_values`.

    Raises ArgumentError for inputs of integers, for a model through which autograd sees no way from input to output,
    and for one that mixes examples even in evaluation mode; NonFiniteError if a weight, an input or a derivative is
    not finite; DataError without data; MaskMismatchError for another model's mask. The model is as it was afterwards.
    Cost: a forward pass and a backward pass per output, and a singular value decomposition per example.
    Source: Lee, Ajanthan, Gould, Torr (2020), equation 4 (thesis equation 4.4, Table 4.1); Saxe et al. (2014).

    >>> net = nn.Linear(3, 2, bias=False)
    >>> _ = net.weight.data.copy_(torch.tensor([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]]))
    >>> found = jacobian_singular_values(net, [(torch.randn(5, 3), torch.zeros(5))])
    >>> found.mean, found.std, found.max, found.min, found.examples
    (3.5, 0.5, 4.0, 3.0, 5)
    """
    require_running_statistics(model)
    weights, buffers = in_double(model, mask)
    draws = generator(seed, "jacobian")
    parts = []
    with torch.inference_mode(False), torch.enable_grad(), untouched(model, training=False):
        for batch in read_batches(data, "jacobian", device_of(dict(model.named_parameters()))):
            inputs = differentiable(batch[0])
            with torch.no_grad():
                outputs = call_with(model, weights, inputs.clone(), buffers)
            _require_rows(model, outputs, inputs)
            num_outputs = outputs[0].numel()
            for part in torch.split(inputs, examples_at_once(num_outputs, inputs[0].numel())):
                leaf = part.detach().requires_grad_()
                # a copy, since a model may begin with an operation in place
                outputs = call_with(model, weights, leaf.clone(), buffers)
                require_apart(model, outputs, leaf)
                parts.append(singular_values(outputs, leaf, draws))
    return pooled(parts)


def in_double(model: nn.Module, mask: Mask | None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parameters and buffers of `model` in float64, those under `mask` zeroed; NonFiniteError if one is not finite."""
    weights = {name: p.detach().double() for name, p in model.named_parameters() if p.is_floating_point()}
    buffers = {name: b.detach().double() for name, b in model.named_buffers() if b.is_floating_point()}
    require_finite({**weights, **buffers})
    if mask is not None:
        own = {id(p): name for name, p in model.named_parameters()}
        for name, parameter in mask.parameters_of(model).items():
            weights[own[id(parameter)]] = weights[own[id(parameter)]].masked_fill(~mask[name].to(parameter.device), 0.0)
    return weights, buffers


def require_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raise NonFiniteError, naming each tensor and how many of its values are NaN or infinite, if any is."""
    bad = [f"{int((~t.isfinite()).sum())} of {t.numel()} values of {n}" for n, t in tensors.items() if not _finite(t)]
    if bad:
        raise NonFiniteError(f"not finite: {'; '.join(bad)}: check where these weights come from")


def _finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())


def differentiable(inputs: Tensor) -> Tensor:
    """`inputs` in float64; ArgumentError for integers, NonFiniteError for what is NaN or infinite."""
    if not inputs.is_floating_point():
        raise ArgumentError(
            f"a Jacobian is a derivative by the inputs: got {inputs.dtype}; pass floating point inputs, or for a model "
            "that looks integers up, what comes after its embedding"
        )
    if not _finite(inputs):
        bad = int((~inputs.isfinite()).sum())
        raise NonFiniteError(f"{bad} of {inputs.numel()} inputs of a batch are NaN or infinite: look at the data")
    return inputs.detach().double()


def require_running_statistics(model: nn.Module) -> None:
    """Raise ArgumentError for batch normalization that takes its statistics from the batch in evaluation mode too."""
    modules = model.named_modules()
    without = [name or "itself" for name, m in modules if isinstance(m, _BatchNorm) and m.running_mean is None]
    if without:
        raise ArgumentError(
            f"{type(model).__name__} mixes the examples of a batch even in evaluation mode ({', '.join(without)}: "
            "batch normalization without running statistics): they have no Jacobians of their own; build it with "
            "track_running_stats=True and let it see data in training mode"
        )


def require_apart(model: nn.Module, outputs: Tensor, inputs: Tensor) -> None:
    """Raise ArgumentError unless autograd leads from `inputs` to `outputs`, each example to its own.

    NonFiniteError if the derivative by which that is told is not finite.
    """
    name = type(model).__name__
    _require_rows(model, outputs, inputs)
    if not outputs.requires_grad:
        raise ArgumentError(
            f"autograd sees no way from the inputs of {name} to its outputs: look for detach(), item(), argmax, "
            "torch.no_grad() or torch.inference_mode() in the model"
        )
    if len(inputs) > 1:
        # of outputs weighed unalike: their plain sum may be constant, as after a normalization
        weights = torch.linspace(1.0, 2.0, outputs[0].numel(), dtype=outputs.dtype, device=outputs.device)
        weighed = outputs[0].flatten() @ weights
        (first,) = torch.autograd.grad(weighed, inputs, retain_graph=True, materialize_grads=True)
        if not _finite(first):  # before NaN, which is not 0 either, counts as mixed
            raise NonFiniteError(
                f"a derivative of {name} by the inputs is NaN or infinite: look for functions without a slope there"
            )
        if bool((first[1:] != 0).any()):
            raise ArgumentError(
                f"{name} mixes the examples of a batch even in evaluation mode (batch statistics?): they have no "
                "Jacobians of their own; pass batches of one example"
            )


def _require_rows(model: nn.Module, outputs: Tensor, inputs: Tensor) -> None:
    if outputs.dim() == 0 or len(outputs) != len(inputs):
        came = f"shape {list(outputs.shape)} for {len(inputs)} examples"
        raise ArgumentError(f"{type(model).__name__} returned {came}: expected a row for each")
