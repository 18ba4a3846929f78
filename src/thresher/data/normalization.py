"""Mean and standard deviation per channel, and the scaling of inputs by them."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from thresher.core.errors import ArgumentError, DataError

_CHUNK_ELEMENTS = 1 << 22


def channel_moments(inputs: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, standard deviation) of each channel of `inputs` [N, C, …]; uint8 is read as inputs / 255.

    The deviation is the population's (divided by N). For uint8 both come from an integer histogram, so they
    are exact up to the last rounding, whatever N; floating inputs take two passes in float64. A constant
    channel gets deviation 1: it is centred, not scaled. Raises DataError if there are no elements or a mean
    is not finite. Cost: O(elements) time, 4 Mi elements of extra memory at a time.

    >>> channel_moments(torch.tensor([[0, 255], [255, 255]], dtype=torch.uint8))
    ((0.5, 1.0), (0.5, 1.0))
    """
    if inputs.numel() == 0:
        raise DataError(f"no mean of inputs of shape {tuple(inputs.shape)}: there are no elements")
    moments = _integer_moments if inputs.dtype is torch.uint8 else _float_moments
    pairs = [moments(inputs, channel) for channel in range(inputs.shape[1])]
    return tuple(mean for mean, _ in pairs), tuple(deviation or 1.0 for _, deviation in pairs)


def _integer_moments(inputs: Tensor, channel: int) -> tuple[float, float]:
    histogram = torch.zeros(256, dtype=torch.int64)
    for chunk in _chunks(inputs, channel):
        histogram += torch.bincount(chunk, minlength=256).cpu()
    counts = histogram.tolist()
    n = sum(counts)
    first = sum(value * count for value, count in enumerate(counts))
    second = sum(value * value * count for value, count in enumerate(counts))
    # n·Σx² − (Σx)² stays an integer of any size: nothing cancels
    return first / (255 * n), math.sqrt((n * second - first * first) / (n * n)) / 255


def _float_moments(inputs: Tensor, channel: int) -> tuple[float, float]:
    n = inputs[:, channel].numel()
    mean = math.fsum(float(chunk.double().sum()) for chunk in _chunks(inputs, channel)) / n
    if not math.isfinite(mean):
        raise DataError(f"channel {channel} of the inputs holds a NaN or an infinity")
    value = inputs[0, channel].reshape(-1)[0]
    if all(bool((chunk == value).all()) for chunk in _chunks(inputs, channel)):
        return float(value), 0.0  # from a rounded mean it would come out as 1e-17, to be divided by
    square = math.fsum(float((chunk.double() - mean).square().sum()) for chunk in _chunks(inputs, channel))
    return mean, math.sqrt(square / n)


def _chunks(inputs: Tensor, channel: int) -> Iterator[Tensor]:
    per_example = max(1, inputs[:1, channel].numel())
    step = max(1, _CHUNK_ELEMENTS // per_example)
    for start in range(0, len(inputs), step):
        yield inputs[start : start + step, channel].reshape(-1)


def scale_and_offset(inputs: Tensor, mean: Sequence[float], std: Sequence[float]) -> tuple[Tensor, Tensor]:
    """(a, b), float32 [C, 1, …], such that a·x + b standardises `inputs` [N, C, …]; see `normalize`.

    Raises ArgumentError if there is not one mean and one positive deviation for each channel.
    """
    channels = inputs.shape[1]
    if len(mean) != channels or len(std) != channels:
        raise ArgumentError(f"inputs have {channels} channels: got {len(mean)} means and {len(std)} deviations")
    if not all(math.isfinite(m) for m in mean) or not all(0 < s < math.inf for s in std):
        raise ArgumentError(f"means are finite and deviations positive: got {tuple(mean)} and {tuple(std)}")
    unit = 255.0 if inputs.dtype is torch.uint8 else 1.0
    shape = (channels, *[1] * (inputs.dim() - 2))
    scale = torch.tensor([1 / (unit * s) for s in std], dtype=torch.float32).reshape(shape)
    offset = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], dtype=torch.float32).reshape(shape)
    return scale, offset


def normalize(inputs: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    """scale·inputs + offset in float32, a new tensor: (x / 255 − mean) / std for uint8, (x − mean) / std else.

    >>> images = torch.tensor([[0, 255]], dtype=torch.uint8)
    >>> normalize(images, *scale_and_offset(images, (0.5, 0.0), (0.5, 1.0)))
    tensor([[-1.,  1.]])
    """
    # one conversion, then in place: the fastest of the forms measured; copy=True since the inputs may be float32
    return inputs.to(torch.float32, copy=True).mul_(scale).add_(offset)
