"""What every model here is: a classifier that knows the shape it reads and how many classes it tells apart."""

from torch import nn


class ImageClassifier(nn.Module):
    """Base of the models: `forward` takes float [N, \\*input_shape] and returns logits [N, num_classes].

    `input_shape` is one example's shape, (channels, height, width) for images. Both attributes are plain data:
    they are in no state_dict and survive deepcopy and pickling.
    """

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.input_shape = input_shape
        self.num_classes = num_classes
