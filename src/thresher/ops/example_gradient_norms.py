"""Gradient norm of every example of a batch, through a whole model."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.nn.modules.batchnorm import _BatchNorm

from thresher.core.errors import ArgumentError

# layers that treat each example by itself and have their parameters' whole say in one call
_DENSE = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Embedding, nn.LayerNorm, nn.GroupNorm, nn.PReLU, _BatchNorm,
)  # fmt: skip


@runtime_checkable
class ExampleNorms(Protocol):
    """A layer that says the squared norms of its examples' gradients by itself."""

    def example_square_norms(self, x: Tensor, gradient: Tensor) -> Tensor:
        """[N], over its trainable parameters, for its input and the gradient of Σ_n ℓ_n to its output."""


class _Call(NamedTuple):
    """One call of a layer: its input, the version of its memory then, and the output's place in the graph."""

    x: Tensor
    version: int
    edge: GradientEdge


def example_gradient_norms(
    model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, targets: Tensor
) -> Tensor:
    """‖∇ℓ_n‖ of every example n over all trainable parameters of `model`, [N].

    loss: gives one number per example, [N], for outputs and targets, for instance ``functools.partial(
    F.cross_entropy, reduction="none")``; a mean over the batch would scale every ℓ_n by 1/N. The model is run once on
    the whole batch, in the mode it is in, and its ``.grad`` stay as they are. A layer that has `example_square_norms`
    (sparse linear layers and convolutions) never stores the gradients of single examples, nor does a dense
    ``nn.Linear``; other dense layers form them one example after another.
    Layers without parameters are taken to treat each example by itself.
    Raises ArgumentError for a batch norm that uses the batch's own statistics (ℓ_n then depends on the other
    examples), for a layer of another kind than these, for one called twice or with parameters used elsewhere too
    (the sum of its contributions is what has a norm), and for losses or layers whose first dimension is not N.
    Cost: one training step and, for each sparse layer, about as much as its weights' gradient again.
    Source: Goodfellow 2015 (Efficient per-example gradient computations), for dense layers.

    >>> model = nn.Linear(2, 1, bias=False)
    >>> x, y = torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.zeros(2, 1)
    >>> example_gradient_norms(model, lambda output, _: output.sum(1), x, y).tolist()
    [5.0, 0.0]
    """
    layers = {name: layer for name, layer in model.named_modules() if _trainable(layer)}
    _refuse_mixing(model)
    for name, layer in layers.items():
        if not isinstance(layer, (*_DENSE, ExampleNorms)):
            raise ArgumentError(
                f"gradient norms of single examples: {name or 'the model'} is a {type(layer).__name__}"
                ", whose parameters' share is not known here; freeze it or leave it out"
            )
    calls: dict[str, _Call] = {}
    hooks = [layer.register_forward_hook(_recorder(calls, name, inputs.shape[0])) for name, layer in layers.items()]
    try:
        with torch.enable_grad():
            losses = loss(model(inputs), targets)
    finally:
        for hook in hooks:
            hook.remove()
    if losses.shape != inputs.shape[:1]:
        raise ArgumentError(
            f"the loss gives one number per example, [{inputs.shape[0]}]: got {list(losses.shape)}; "
            'pass it reduction="none"'
        )
    uses = _uses(losses.grad_fn)
    _refuse_other_uses(uses, layers, calls)
    calls = {name: call for name, call in calls.items() if any(uses[id(p)] for p in _trainable(layers[name]))}
    total = losses.new_zeros(losses.shape)
    if not calls:
        return total
    edges = [call.edge for call in calls.values()]
    gradients = torch.autograd.grad(losses, edges, torch.ones_like(losses))
    for (name, call), gradient in zip(calls.items(), gradients, strict=True):
        if call.x._version != call.version:
            raise ArgumentError(f"the input of {name} was changed in place after the layer saw it: make that a copy")
        total += _square_norms(layers[name], call.x.detach(), gradient)
    return total.sqrt()


def _trainable(layer: nn.Module) -> list[Tensor]:
    return [p for p in layer.parameters(recurse=False) if p.requires_grad]


def _refuse_mixing(model: nn.Module) -> None:
    for name, layer in model.named_modules():
        if isinstance(layer, _BatchNorm) and (layer.training or layer.running_mean is None):
            raise ArgumentError(
                f"{name or 'the model'} normalizes with the statistics of the batch, so that no example has a loss of "
                "its own: call model.eval() first, or use a group norm"
            )


def _recorder(
    calls: dict[str, _Call], name: str, num_examples: int
) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def record(layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not output.requires_grad:
            return output
        if name in calls:
            raise ArgumentError(
                f"{name or 'the model'} is called more than once, and the sum of its contributions is "
                "what has a norm: give each call a layer of its own"
            )
        if not arguments or arguments[0].shape[:1] != (num_examples,) or output.shape[:1] != (num_examples,):
            raise ArgumentError(
                f"{name or 'the model'} is called with something else than [{num_examples}, ...], one "
                "row per example, as its first argument, so that examples cannot be told apart in it"
            )
        if output._is_view():  # whose place in the graph an operation in place would take away
            output = output.clone()
        calls[name] = _Call(arguments[0], arguments[0]._version, get_gradient_edge(output))
        return output

    return record


def _refuse_other_uses(uses: Counter[int], layers: dict[str, nn.Module], calls: dict[str, _Call]) -> None:
    """Every trainable parameter enters the graph once, in the recorded call of its layer, or not at all."""
    for name, layer in layers.items():
        for key, parameter in layer.named_parameters(recurse=False):
            if uses[id(parameter)] > (name in calls):
                raise ArgumentError(
                    f"{name}{'.' if name else ''}{key} is also used outside of its layer, and the sum of its "
                    "contributions is what has a norm: untie it"
                )


def _uses(root: Node | None) -> Counter[int]:
    """How many edges of the graph lead to each leaf, by its id."""
    uses: Counter[int] = Counter()
    seen, waiting = {root}, [root]
    while waiting:
        node = waiting.pop()
        for following, _ in node.next_functions if node is not None else ():
            if following is None:
                continue
            leaf = getattr(following, "variable", None)  # which only an AccumulateGrad has
            if leaf is not None:
                uses[id(leaf)] += 1
            elif following not in seen:
                seen.add(following)
                waiting.append(following)
    return uses


def _square_norms(layer: nn.Module, x: Tensor, gradient: Tensor) -> Tensor:
    if isinstance(layer, ExampleNorms):
        return layer.example_square_norms(x, gradient)
    if isinstance(layer, nn.Linear) and x.dim() == 2:
        squares = x.square().sum(1) if layer.weight.requires_grad else x.new_zeros(x.shape[0])
        with_bias = layer.bias is not None and layer.bias.requires_grad
        return gradient.square().sum(1) * (squares + 1 if with_bias else squares)
    parameters = _trainable(layer)
    norms = []
    for one, g in zip(x, gradient, strict=True):
        with torch.enable_grad():
            output = layer.forward(one[None])
        norms.append(torch.stack([p.square().sum() for p in torch.autograd.grad(output, parameters, g[None])]).sum())
    return torch.stack(norms) if norms else gradient.new_empty(0)
