"""Which parameters can be pruned: weights that multiply activations, each shared tensor once."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy

from thresher.core.errors import ArgumentError, NothingToPruneError, unknown_name

_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
_LINEAR = (nn.Linear, nn.Bilinear, _ConvNd, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)


def prunable(
    model: nn.Module,
    *,
    biases: bool = False,
    norms: bool = False,
    embeddings: bool = False,
    only: Iterable[str] | None = None,
) -> dict[str, nn.Parameter]:
    """Parameter name → parameter, in the model's own order, of what may be pruned.

    By default the weights of linear, convolutional, recurrent and attention layers. `biases` adds the biases of
    those layers; `norms` adds scales (and, with `biases`, shifts) of normalisation layers; `embeddings` adds
    embedding tables. A tensor shared by several layers appears once, under its first name, and a table that is
    also an output layer counts as an embedding. `only` keeps the names that match one of its patterns
    (``"features.*"``) and reaches any parameter, also those of layers not listed above.

    Raises NothingToPruneError if nothing is left, ArgumentError for a pattern that matches nothing and for a
    lazy layer that has seen no batch.
    Frozen parameters (``requires_grad=False``) are left out: nothing would train what is kept.

    >>> net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    >>> list(prunable(net)), list(prunable(net, only=["2.*"]))
    (['0.weight', '2.weight'], ['2.weight', '2.bias'])
    """
    own = {name: p for name, p in model.named_parameters() if p.requires_grad}
    found = _by_kind(model, own, biases, norms, embeddings) if only is None else _matching(own, list(only))
    for name, parameter in found.items():
        if is_lazy(parameter):
            raise ArgumentError(f"{name} has no shape yet: run one batch through the model first")
    if not found:
        raise NothingToPruneError(
            f"{type(model).__name__} has nothing to prune: no trainable weight of a linear, convolutional, "
            f"recurrent or attention layer among its parameters ({', '.join(own) or 'none'}); "
            "name them with parameters=[...] to prune them all the same"
        )
    return found


def _by_kind(
    model: nn.Module, own: dict[str, nn.Parameter], biases: bool, norms: bool, embeddings: bool
) -> dict[str, nn.Parameter]:
    chosen: set[int] = set()
    barred: set[int] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            is_bias = "bias" in name
            if isinstance(module, _EMBEDDINGS):
                (chosen if embeddings else barred).add(id(parameter))
            elif isinstance(module, _NORMS):
                if norms and (biases or not is_bias):
                    chosen.add(id(parameter))
            elif isinstance(module, _LINEAR) and (biases or not is_bias):
                chosen.add(id(parameter))
    return {name: p for name, p in own.items() if id(p) in chosen and id(p) not in barred}


def _matching(parameters: dict[str, nn.Parameter], patterns: list[str]) -> dict[str, nn.Parameter]:
    for pattern in patterns:
        if pattern not in parameters and not fnmatch.filter(parameters, pattern):
            raise unknown_name("parameter", pattern, parameters)
    return {
        n: p
        for n, p in parameters.items()
        if any(n == pattern or fnmatch.fnmatchcase(n, pattern) for pattern in patterns)
    }


def resolve_protected(names: Sequence[str], protect: Iterable[str]) -> frozenset[str]:
    """The names among `names` that `protect` means: 'first', 'last', a name, or a pattern (``"fc*"``).

    Raises ArgumentError, with the near miss, if an entry means none of them, or if all are protected.

    >>> sorted(resolve_protected(["a.weight", "b.weight", "c.weight"], ["first", "c.*"]))
    ['a.weight', 'c.weight']
    """
    protected: set[str] = set()
    for entry in protect:
        if entry in ("first", "last"):
            protected.add(names[0] if entry == "first" else names[-1])
            continue
        matches = [entry] if entry in names else fnmatch.filter(names, entry)
        if not matches:
            raise unknown_name("parameter to protect", entry, [*names, "first", "last"])
        protected.update(matches)
    if names and len(protected) == len(names):
        raise ArgumentError(f"protect= covers every prunable parameter ({', '.join(names)}): nothing can be pruned")
    return frozenset(protected)


def device_of(parameters: Mapping[str, Tensor]) -> torch.device:
    """The one device all the tensors lie on; ArgumentError if they are spread over several."""
    devices = {p.device for p in parameters.values()}
    if len(devices) != 1:
        raise ArgumentError(f"the parameters lie on {sorted(map(str, devices))}: move the model to one device")
    return devices.pop()
