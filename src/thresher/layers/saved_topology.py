"""A sparse layer's topology in the metadata of a state_dict, and back from a checkpoint that may be damaged."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from thresher.core.errors import ArgumentError, FileFormatError
from thresher.ops import Topology

_KEY = "topology"


def save_topologies(metadata: dict[str, Any], topologies: Mapping[str, Topology]) -> None:
    """Write the flat positions, int64 [kept], of each weight into a layer's `metadata`."""
    metadata[_KEY] = {name: topology.positions for name, topology in topologies.items()}


def saved_topology(
    metadata: Mapping[str, Any], name: str, key: str, dense: Tensor, shape: tuple[int, ...]
) -> Topology | None:
    """The topology that was saved with the weight `name`, or None if the checkpoint is a dense model's.

    metadata: the layer's, as ``load_state_dict`` passes it on. key: the weight's in the state_dict, for messages.
    dense: the weight there. shape: the layer's.
    Raises FileFormatError if it is no ascending int64 tensor of positions in the weight, or if the weight is not
    zero elsewhere. Cost: O(weight + kept log kept).
    """
    if _KEY not in metadata:
        return None
    topologies = metadata[_KEY]
    positions = topologies.get(name) if isinstance(topologies, Mapping) else None
    if not isinstance(positions, Tensor):
        raise FileFormatError(
            f"the checkpoint says that {key} is sparse, but holds no positions of its weights: it is incomplete; "
            "take another copy"
        )
    try:
        topology = Topology.at(positions, shape[0], math.prod(shape[1:]))
    except ArgumentError as error:
        raise FileFormatError(f"the checkpoint's topology of {key} is corrupted: {error}; take another copy") from error
    elsewhere = nonzeros_elsewhere(dense, topology)
    if elsewhere:
        raise FileFormatError(
            f"the checkpoint has {elsewhere} nonzero weights in {key} outside its own topology: it was altered; take "
            "another copy"
        )
    return topology


def nonzeros_elsewhere(dense: Tensor, topology: Topology) -> int:
    """How many entries of `dense` are not zero though `topology` does not keep them."""
    flat = dense.detach().reshape(-1)
    kept = flat[topology.positions.to(flat.device)]
    return int(flat.count_nonzero()) - int(kept.count_nonzero())
