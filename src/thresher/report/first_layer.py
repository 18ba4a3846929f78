"""What the first layer still looks at: kept connections per input position, as an image."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from thresher.report.svg import draw

_COLOURS = "cividis"  # one hue order for every kind of colour vision, and lightness rises with the count


def first_layer_map(mask: Tensor, input_shape: Sequence[int]) -> tuple[str, str] | None:
    """An SVG image of a first layer's `mask` and its caption; None for a shape that is no picture.

    A linear layer's mask [units, inputs] becomes kept connections per input position, summed over units and
    averaged over channels. A convolution's mask [channels out, in, (height,) width] becomes a grid of its
    kernels, each position the number of input channels kept there.
    """
    if mask.ndim == 2 and len(input_shape) <= 3:
        picture = kept_per_input(mask, input_shape)
        words = f"kept connections per input position, summed over {mask.shape[0]:,} units"
        if len(input_shape) == 3 and input_shape[0] > 1:
            words += f", mean of {input_shape[0]} channels"
    elif mask.ndim in (3, 4):
        picture = kernel_grid(mask)
        words = f"{mask.shape[0]:,} kernels side by side: kept input channels at each position, of {mask.shape[1]:,}"
    else:
        return None
    if picture is None:
        return None
    return _image(picture, words), f"{words[0].upper()}{words[1:]}."


def kept_per_input(mask: Tensor, input_shape: Sequence[int]) -> NDArray[np.float64] | None:
    """Kept connections of each input position [height, width]; None unless `input_shape` has as many inputs.

    >>> import torch
    >>> kept_per_input(torch.tensor([[True, True, False, False], [True, False, False, False]]), (1, 2, 2)).tolist()
    [[2.0, 1.0], [0.0, 0.0]]
    """
    if math.prod(input_shape) != mask.shape[1] or not mask.numel():
        return None
    counts = mask.sum(0).cpu().numpy().astype(np.float64).reshape(tuple(input_shape))
    if counts.ndim == 3:
        counts = counts.mean(0)
    return np.atleast_2d(counts)


def kernel_grid(mask: Tensor) -> NDArray[np.float64] | None:
    """The kernels of a convolution in reading order, NaN between them and after the last; None if it is empty."""
    if not mask.numel():
        return None
    counts = mask.sum(1).cpu().numpy().astype(np.float64)
    kernels = counts.reshape(len(counts), -1, counts.shape[-1])
    number, height, width = kernels.shape
    # about twice as wide as high
    columns = min(number, max(1, math.ceil(math.sqrt(2.0 * number * (height + 1) / (width + 1)))))
    grid = np.full((-(-number // columns) * (height + 1), columns * (width + 1)), np.nan)
    for index, kernel in enumerate(kernels):
        row, column = divmod(index, columns)
        top, left = row * (height + 1), column * (width + 1)
        grid[top : top + height, left : left + width] = kernel
    return grid[:-1, :-1]


def _image(picture: NDArray[np.float64], words: str) -> str:
    height, width = picture.shape
    inches = min(4.2, max(1.2, 3.9 * height / width))
    low, high = float(np.nanmin(picture)), float(np.nanmax(picture))

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        # each pixel is written once and enlarged by the reader: sharp at any size, and small
        image = axes.imshow(picture, cmap=_COLOURS, vmin=0.0, vmax=max(high, 1.0), interpolation="none")
        if height == 1:
            axes.set_aspect("auto")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=axes, shrink=0.9, aspect=18, ticks=MaxNLocator(5, integer=True))
        bar.outline.set_visible(False)
        bar.solids.set_rasterized(True)  # type: ignore[union-attr]

    return draw("first-layer", f"Image of {words}: from {low:g} to {high:g}.", (4.7, inches + 0.2), paint)
