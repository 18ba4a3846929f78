"""The shape of an image and what convolutions make of it."""

from thresher.core.errors import ArgumentError


def check_image(model: str, input_shape: tuple[int, ...], smallest: int = 1) -> tuple[int, int, int]:
    """`input_shape` as (channels, height, width).

    Raises ArgumentError if it has not three dimensions, or if a side is below `smallest`, the least that
    leaves every layer of `model` something to read.

    >>> check_image("vgg-c", (3, 32, 32), smallest=17)
    (3, 32, 32)
    """
    if len(input_shape) != 3:
        raise ArgumentError(f"{model} reads images: input_shape= is (channels, height, width), got {input_shape}")
    channels, height, width = input_shape
    if min(height, width) < smallest:
        raise ArgumentError(
            f"{model} reads images of at least {smallest}×{smallest} pixels: got input_shape={input_shape}; "
            "take a larger image or a model without that many strides (lenet-300-100 reads any)"
        )
    return channels, height, width


def smallest_side(num_halvings: int) -> int:
    """The least side that `num_halvings` layers of stride 2, rounding up, can each still make smaller.

    >>> smallest_side(5), smallest_side(2)
    (17, 3)
    """
    return (1 << (num_halvings - 1)) + 1


def same_padding(kernel: int, stride: int) -> int:
    """The symmetric padding that stands in for TensorFlow's 'SAME' on a side that `stride` divides.

    'SAME' adds kernel - stride zeros, the odd one *after* the image; a layer here pads equally on both sides and
    its last zero *before* the image is the odd one. The two are mirror images of each other.

    >>> same_padding(11, 2), same_padding(11, 4), same_padding(3, 1)
    (5, 4, 1)
    """
    return (kernel - stride + 1) // 2


def conv_side(side: int, kernel: int, stride: int) -> int:
    """The side after a convolution with `same_padding`: side / stride where that is whole.

    >>> conv_side(32, kernel=11, stride=2), conv_side(64, kernel=11, stride=4)
    (16, 16)
    """
    return (side + 2 * same_padding(kernel, stride) - kernel) // stride + 1
