"""LSTM and GRU classifiers that read an image row by row."""

from typing import Literal

import torch
from torch import Tensor, nn

from thresher.models.classifier import ImageClassifier
from thresher.models.image_shape import check_image


class RowRecurrent(ImageClassifier):
    """A linear layer on each row, one recurrent layer of `hidden` units, a linear layer on its last state.

    A row of an image [C, H, W] is the C·W values at one height, channel by channel; there are H steps.
    136,586 and 535,306 trainable parameters for LSTM-s and LSTM-b (`hidden` 128, 256) on MNIST, 103,690 and
    403,978 for GRU-s and GRU-b. Raises ArgumentError if `input_shape` is not an image's.

    Source: thesis §3.5.3 (LSTM: Zaremba et al. 2014; GRU: Cho et al. 2014). The thesis gives no code; these
    readings give the counts of Table 3.2 exactly: rows are embedded in `hidden` dimensions first, and a gate has
    one bias, as in TensorFlow. torch's second bias, ``rnn.bias_hh_l0``, is therefore a frozen constant: 0, but 1 in
    the LSTM's forget gate, which TensorFlow's cells add by default (forget_bias=1; Jozefowicz et al. 2015).
    Departure: torch's GRU applies the reset gate after the recurrent product, Cho et al.'s before it.

    >>> net = RowRecurrent((1, 28, 28), 10, cell="lstm", hidden=128)
    >>> sum(p.numel() for p in net.parameters() if p.requires_grad)
    136586
    """

    def __init__(
        self, input_shape: tuple[int, ...], num_classes: int, *, cell: Literal["lstm", "gru"], hidden: int
    ) -> None:
        channels, _, width = check_image(cell, input_shape)
        super().__init__(input_shape, num_classes)
        self.fc1 = nn.Linear(channels * width, hidden)
        layer: type[nn.LSTM] | type[nn.GRU] = nn.LSTM if cell == "lstm" else nn.GRU
        self.rnn = layer(hidden, hidden, batch_first=True)
        self.fc2 = nn.Linear(hidden, num_classes)
        second_bias = self.rnn.get_parameter("bias_hh_l0").requires_grad_(False)
        with torch.no_grad():
            second_bias.zero_()
            if cell == "lstm":
                second_bias[hidden : 2 * hidden] = 1.0  # torch's order of gates: input, forget, cell, output

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [N, num_classes] of images [N, C, H, W]."""
        rows = inputs.transpose(1, 2).flatten(2)
        states, _ = self.rnn(self.fc1(rows))
        logits: Tensor = self.fc2(states[:, -1])
        return logits
