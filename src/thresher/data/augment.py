"""Random horizontal flips and shifts of a batch of images, in one gather."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from thresher.core.errors import ArgumentError


class Draws(NamedTuple):
    """What happens to each of N images: `flip` bool [N]; `down` and `right` int64 [N], pixels moved."""

    flip: Tensor
    down: Tensor
    right: Tensor


def draw(n: int, generator: torch.Generator, pixels: int = 4) -> Draws:
    """Independent draws for `n` images: a flip with probability 1/2, each shift uniform on −pixels … pixels."""
    device = generator.device
    flip = torch.randint(2, (n,), generator=generator, device=device).bool()
    shifts = torch.randint(-pixels, pixels + 1, (2, n), generator=generator, device=device)
    return Draws(flip, shifts[0], shifts[1])


def apply(images: Tensor, draws: Draws) -> Tensor:
    """`images` [N, C, H, W], each flipped if drawn and then shifted; what moves in from outside is 0.

    Images are normalised before, so the border has the colour of the mean. (Padding the raw pixels instead
    would move in black; snip-public pads after normalisation too.)
    Cost: O(elements), one copy for the padding and one gather.
    """
    n, channels, height, width = images.shape
    pad = int(torch.stack([draws.down, draws.right]).abs().max()) if n else 0
    flip, down, right = (part.to(images.device) for part in draws)
    padded = functional.pad(images, [pad] * 4)
    rows = torch.arange(height, device=images.device) + pad - down[:, None]
    columns = torch.arange(width, device=images.device) - right[:, None]
    columns = torch.where(flip[:, None], width - 1 - columns, columns) + pad
    at = rows[:, :, None] * (width + 2 * pad) + columns[:, None, :]
    picked = padded.flatten(2).gather(2, at.flatten(1)[:, None].expand(-1, channels, -1))
    return picked.reshape(images.shape)


def flip_and_shift(images: Tensor, generator: torch.Generator, pixels: int = 4) -> Tensor:
    """`images` [N, C, H, W], normalised, flipped left to right at random and shifted up to `pixels` each way.

    The standard augmentation of CIFAR: Krizhevsky, Sutskever and Hinton (2012), section 4.1, in the form of
    Lee et al. (2019), section 5, flip and ±4 pixels. Raises ArgumentError unless images are [N, C, H, W].

    >>> images = torch.arange(4.0).reshape(1, 1, 2, 2)
    >>> flip_and_shift(images, torch.Generator().manual_seed(1), pixels=0).tolist()
    [[[[1.0, 0.0], [3.0, 2.0]]]]
    """
    if images.dim() != 4:
        raise ArgumentError(f"images to augment are [N, C, H, W]: got shape {tuple(images.shape)}")
    if pixels < 0:
        raise ArgumentError(f"pixels is not negative: got {pixels}")
    return apply(images, draw(len(images), generator, pixels))
