"""A chain of named layers without branches."""

from collections.abc import Mapping

from torch import Tensor, nn

from thresher.models.classifier import ImageClassifier


class FeedForward(ImageClassifier):
    """The layers of `layers` one after another; their names lead the parameter names (``conv1.weight``).

    >>> import torch
    >>> net = FeedForward({"flatten": nn.Flatten(), "fc1": nn.Linear(4, 2)}, (1, 2, 2), 2)
    >>> net(torch.zeros(3, 1, 2, 2)).shape, list(net.state_dict())
    (torch.Size([3, 2]), ['fc1.weight', 'fc1.bias'])
    """

    def __init__(self, layers: Mapping[str, nn.Module], input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__(input_shape, num_classes)
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [N, num_classes] of `inputs` [N, \\*input_shape]."""
        for layer in self.children():
            inputs = layer(inputs)
        return inputs
