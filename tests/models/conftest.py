"""Layers in float64 NumPy, written from their definitions, and the feature-map sizes of a model."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn


def _convolve(images, weight, bias=None, stride=1, padding=0):
    padded = np.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    kernel = weight.shape[-1]
    height = (padded.shape[2] - kernel) // stride + 1
    width = (padded.shape[3] - kernel) // stride + 1
    result = np.zeros((len(images), len(weight), height, width))
    for row in range(height):
        for column in range(width):
            window = padded[:, :, row * stride : row * stride + kernel, column * stride : column * stride + kernel]
            result[:, :, row, column] = np.tensordot(window, weight, axes=([1, 2, 3], [1, 2, 3]))
    return result if bias is None else result + bias[:, None, None]


def _max_pool(images):
    n, c, height, width = images.shape
    return images[:, :, : height // 2 * 2, : width // 2 * 2].reshape(n, c, height // 2, 2, width // 2, 2).max((3, 5))


def _normalise(images, state, name):
    mean, var, scale, shift = (
        state[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (images - mean) / np.sqrt(var + 1e-5) * scale + shift


@pytest.fixture(scope="session")
def oracle() -> SimpleNamespace:
    return SimpleNamespace(
        convolve=_convolve,
        max_pool=_max_pool,
        normalise=_normalise,
        relu=lambda values: np.maximum(values, 0.0),
        sigmoid=lambda values: 1.0 / (1.0 + np.exp(-values)),
        linear=lambda values, state, name: values @ state[f"{name}.weight"].T + state[f"{name}.bias"],
    )


@pytest.fixture(scope="session")
def state_of() -> Callable[[nn.Module], dict[str, np.ndarray]]:
    """The parameters and buffers of a model as NumPy arrays."""
    return lambda model: {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}


@pytest.fixture(scope="session")
def map_sides() -> Callable[..., list[tuple[int, int]]]:
    """(height, width) of what each module of `kind` puts out for a blank image."""

    def measure(model: nn.Module, kind: type[nn.Module]) -> list[tuple[int, int]]:
        sides: list[tuple[int, int]] = []
        hooks = [
            module.register_forward_hook(lambda _module, _inputs, output: sides.append(tuple(output.shape[2:])))
            for module in model.modules()
            if isinstance(module, kind)
        ]
        with torch.no_grad():
            model.eval()(torch.zeros(1, *model.input_shape))
        for hook in hooks:
            hook.remove()
        return sides

    return measure


@pytest.fixture
def with_random_statistics() -> Callable[[nn.Module], nn.Module]:
    """The model in float64 and evaluation mode, its normalisations no longer the identity."""

    def scramble(model: nn.Module) -> nn.Module:
        draw = torch.Generator().manual_seed(3)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
                with torch.no_grad():
                    module.running_mean.normal_(generator=draw)
                    module.running_var.uniform_(0.5, 2.0, generator=draw)
                    module.weight.normal_(generator=draw)
                    module.bias.normal_(generator=draw)
        return model.double().eval()

    return scramble
