"""Fixup: residual branches that start at zero and learn at a rate that does not grow with their number."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from thresher.core.errors import ArgumentError
from thresher.core.prunable import prunable
from thresher.initializers.initializer import Initialized, require_dense
from thresher.initializers.variance_scaling import VarianceScaling

_ADDS = {"add", "iadd", "add_"}


class _Branch(NamedTuple):
    """A residual branch: the names of its weight layers in the order of the graph, and which of them is its end."""

    layers: list[str]
    end: str


@dataclass(frozen=True)
class Fixup:
    """He's weights, scaled in L residual branches: the last of each branch's m layers by 0, others by L^(-1/(2m-2)).

    The linear layer at the end of the network is zero too, and so are biases.

    The branches are read from the graph that ``torch.fx`` traces: of the two paths that an addition joins, from where
    they part, the one with more linear or convolutional layers is the branch, the other one (at most one
    layer, drawn as He) the shortcut. The scalar biases and multipliers that the paper adds between layers are a
    change of architecture and are not made; each row of a branch says so. Batch normalization after a layer undoes
    its scale (not its zero), which the row says as well. Zero weights have no sensitivity: pruned by a criterion
    that multiplies by the weight, the zero layers go first.

    Raises ArgumentError for a model that cannot be traced, has no residual branch, or has one that is not
    a chain that can be told from its shortcut. Cost: one symbolic trace.
    Source: Zhang, Dauphin, Ma (2019), section 3, "Fixup initialization".

    >>> from thresher.models import build
    >>> net = build("resnet-8")
    >>> rows = Fixup().initialize_(net, torch.Generator().manual_seed(0))
    >>> rows[1].name, rows[1].done
    ('block1.conv1.weight', 'He normal · 0.577 = 3^(-1/2)')
    >>> rows[2].done, net.block1.conv2.weight.count_nonzero().item()
    ('zero, the end of a residual branch', 0)
    """

    @torch.no_grad()
    def initialize_(self, model: nn.Module, generator: torch.Generator) -> tuple[Initialized, ...]:
        """Draw every prunable weight of `model` anew from `generator`, in place, and zero the layers' biases."""
        require_dense(model)
        graph = _traced(model)
        branches = _branches(graph, model)
        VarianceScaling(2.0, "in", "normal").initialize_(model, generator)
        done: dict[int, Initialized] = {}
        for branch in branches:
            power = 2 * len(branch.layers) - 2
            for name in branch.layers:
                scale = 0.0 if name == branch.end else len(branches) ** (-1 / power)
                weight = model.get_submodule(name).get_parameter("weight")
                weight.mul_(scale)
                said = f"He normal · {scale:.3g} = {len(branches)}^(-1/{power})"
                missing = "no scalar biases and multiplier beside it"
                if scale and _normalized(graph, model, name):
                    missing += "; the batch normalization after it undoes the scale"
                done[id(weight)] = Initialized("", said if scale else "zero, the end of a residual branch", missing)
        last = [node.target for node in graph.nodes if _weighted(model, node)][-1]
        if isinstance(model.get_submodule(last), nn.Linear) and all(last not in b.layers for b in branches):
            weight = model.get_submodule(last).get_parameter("weight")
            weight.zero_()
            done[id(weight)] = Initialized("", "zero, the last layer")
        plain = Initialized("", "He normal")
        rows = ((name, done.get(id(p), plain)) for name, p in prunable(model).items())
        return tuple(Initialized(name, row.done, row.shortfall) for name, row in rows)


def _traced(model: nn.Module) -> fx.Graph:
    try:
        return fx.symbolic_trace(model).graph
    except Exception as error:  # whatever the model does that a trace cannot follow
        raise ArgumentError(
            f"fixup reads residual branches from a trace, and torch.fx cannot trace {type(model).__name__} "
            f"({type(error).__name__}: {error}): choose another initializer"
        ) from error


def _branches(graph: fx.Graph, model: nn.Module) -> list[_Branch]:
    before: dict[fx.Node, set[fx.Node]] = {}
    order = {node: i for i, node in enumerate(graph.nodes)}
    found: list[_Branch] = []
    for node in graph.nodes:
        before[node] = set().union(*({n} | before[n] for n in node.all_input_nodes))
        operands = [n for n in node.args[:2] if isinstance(n, fx.Node)]
        if not _adds(node) or len(operands) < 2:
            continue
        paths = [{n} | before[n] for n in operands]
        common = paths[0] & paths[1]
        if not common:
            continue  # two inputs of the model
        parting = max(common, key=order.__getitem__)
        own = [sorted(p - before[parting] - {parting}, key=order.__getitem__) for p in paths]
        layers = [[str(n.target) for n in path if _weighted(model, n)] for path in own]
        shorter, longer = sorted(layers, key=len)
        if not longer:
            continue
        if len(shorter) == len(longer) or len(shorter) > 1:
            raise ArgumentError(
                f"fixup cannot tell the residual branch from the shortcut where {node.name} adds {layers[0]} and "
                f"{layers[1]}: choose another initializer"
            )
        index = layers.index(longer)
        ends = _ends(model, operands[index], set(own[index]))
        if len(ends) != 1 or len(set(longer)) < len(longer) or any(set(longer) & set(b.layers) for b in found):
            raise ArgumentError(
                f"fixup reads residual branches that are chains of layers, each used once: the one that {node.name} "
                f"adds has {longer}; choose another initializer"
            )
        found.append(_Branch(longer, ends.pop()))
    if not found:
        raise ArgumentError(
            f"fixup scales residual branches, and {type(model).__name__} has none: choose another initializer"
        )
    return found


def _adds(node: fx.Node) -> bool:
    if node.op not in ("call_function", "call_method"):
        return False
    return (node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")) in _ADDS


def _weighted(model: nn.Module, node: fx.Node) -> bool:
    """Whether the node calls a layer with weights; ArgumentError if these are of a kind that is not read here."""
    if node.op != "call_module":
        return False
    layer = model.get_submodule(str(node.target))
    if isinstance(layer, nn.Linear | _ConvNd):
        return True
    if isinstance(layer, nn.RNNBase | nn.RNNCellBase | nn.MultiheadAttention | nn.Bilinear):
        raise ArgumentError(
            f"fixup reads linear and convolutional layers: {node.target} is a {type(layer).__name__}; choose another "
            "initializer"
        )
    return False


def _ends(model: nn.Module, node: fx.Node, inside: set[fx.Node]) -> set[str]:
    """The weight layers within `inside` that nothing weighted comes after, up to `node`."""
    if node not in inside:
        return set()
    if _weighted(model, node):
        return {str(node.target)}
    return set().union(*(_ends(model, n, inside) for n in node.all_input_nodes))


def _normalized(graph: fx.Graph, model: nn.Module, name: str) -> bool:
    calls = [node for node in graph.nodes if node.op == "call_module" and node.target == name]
    users = [user for call in calls for user in call.users if user.op == "call_module"]
    return any(isinstance(model.get_submodule(str(user.target)), _NormBase) for user in users)
