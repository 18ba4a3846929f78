"""Sparse GRU layer."""

from typing import ClassVar

from torch import Tensor, nn

from thresher.layers.recurrent import SparseRecurrent, States
from thresher.ops.gru import gru


class SparseGRU(SparseRecurrent):
    """An ``nn.GRU`` that stores, trains and multiplies only the kept entries of its weights.

    Layers, directions, dropout, ``batch_first``, initial state and results are those of ``nn.GRU``; a PackedSequence
    it does not take. The states lie batch innermost in memory; cost: see `ops.gru`.
    Raises ArgumentError if input or initial state do not fit.

    >>> dense = nn.GRU(2, 3)
    >>> keep = {name: p > 0 for name, p in dense.named_parameters() if name == "weight_hh_l0"}
    >>> layer = SparseGRU.from_dense(dense, keep)
    >>> layer.weight_ih_l0.shape, layer.weight_hh_l0.numel() == int(keep["weight_hh_l0"].sum())
    (torch.Size([18]), True)
    """

    _dense_class: ClassVar[type[nn.LSTM] | type[nn.GRU]] = nn.GRU
    _num_states = 1

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The state of every step, and the last; `state` is the first one."""
        y, (h,) = self._sequence(x, None if state is None else (state,))
        return y, h

    def _run(self, suffix: str, x: Tensor, states: States) -> tuple[Tensor, States]:
        by_input, by_state = f"weight_ih_{suffix}", f"weight_hh_{suffix}"
        biases = (
            (self._parameter(f"bias_ih_{suffix}"), self._parameter(f"bias_hh_{suffix}")) if self.bias else (None, None)
        )
        y, last = gru(
            x, states[0], self._parameter(by_input), self.topology_of(by_input), self._parameter(by_state),
            self.topology_of(by_state), *biases,
        )  # fmt: skip
        return y, (last,)
