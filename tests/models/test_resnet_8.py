import numpy as np
import torch
from torch import nn

from thresher.models.resnet_8 import ResNet8


def test_against_numpy(oracle, state_of):
    net = ResNet8((3, 7, 8), 5).double()
    images = torch.randn(2, 3, 7, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    state = state_of(net)

    def conv(values, name, stride=1):
        return oracle.convolve(values, state[f"{name}.weight"], state[f"{name}.bias"], stride, padding=1)

    hidden = oracle.relu(conv(images.numpy(), "conv1"))
    for block, stride in ((1, 1), (2, 2), (3, 2)):
        residual = conv(oracle.relu(hidden), f"block{block}.conv1", stride)
        residual = conv(oracle.relu(residual), f"block{block}.conv2")
        residual[:, : hidden.shape[1]] += hidden[:, :, ::stride, ::stride]
        hidden = residual
    assert hidden.shape == (2, 64, 2, 2)
    expected = oracle.linear(oracle.relu(hidden).mean((2, 3)), state, "fc")
    np.testing.assert_allclose(net(images).detach().numpy(), expected, rtol=1e-9)


def test_seven_convolutions_one_linear_layer_and_no_normalisation():
    net = ResNet8((3, 32, 32), 10)
    kinds = [type(m) for m in net.modules() if any(True for _ in m.parameters(recurse=False))]
    assert kinds == [nn.Conv2d] * 7 + [nn.Linear]
