"""Sparse LSTM layer."""

from typing import ClassVar

from torch import Tensor, nn

from thresher.core.errors import ArgumentError
from thresher.layers.recurrent import SparseRecurrent, States
from thresher.ops.lstm import lstm


class SparseLSTM(SparseRecurrent):
    """An ``nn.LSTM`` that stores, trains and multiplies only the kept entries of its weights.

    Layers, directions, dropout, ``batch_first``, initial states and results are those of ``nn.LSTM``; a projection or
    a PackedSequence it does not take. The states lie batch innermost in memory; cost: see `ops.lstm`.
    Raises ArgumentError if input or initial states do not fit.

    >>> dense = nn.LSTM(2, 3)
    >>> keep = {name: p > 0 for name, p in dense.named_parameters() if name == "weight_hh_l0"}
    >>> layer = SparseLSTM.from_dense(dense, keep)
    >>> layer.weight_ih_l0.shape, layer.weight_hh_l0.numel() == int(keep["weight_hh_l0"].sum())
    (torch.Size([24]), True)
    """

    _dense_class: ClassVar[type[nn.LSTM] | type[nn.GRU]] = nn.LSTM
    _num_states = 2

    def forward(self, x: Tensor, states: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The state of every step, and (the last state, the last memory); `states` are the first ones."""
        if states is not None and not (isinstance(states, tuple | list) and len(states) == 2):
            raise ArgumentError("SparseLSTM: the initial states are a tuple (state, memory), got one tensor or another")
        y, (h, c) = self._sequence(x, states)
        return y, (h, c)

    def _run(self, suffix: str, x: Tensor, states: States) -> tuple[Tensor, States]:
        bias = None
        if self.bias:
            bias = self._parameter(f"bias_ih_{suffix}") + self._parameter(f"bias_hh_{suffix}")
        by_input, by_state = f"weight_ih_{suffix}", f"weight_hh_{suffix}"
        y, h, c = lstm(
            x, states[0], states[1], self._parameter(by_input), self.topology_of(by_input), self._parameter(by_state),
            self.topology_of(by_state), bias,
        )  # fmt: skip
        return y, (h, c)
