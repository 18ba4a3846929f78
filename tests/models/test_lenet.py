import numpy as np
import torch

from thresher.models.lenet import lenet_5_caffe, lenet_300_100


def test_lenet_300_100_against_numpy(oracle, state_of):
    net = lenet_300_100((1, 28, 28), 10).double()
    images = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    state = state_of(net)
    hidden = oracle.relu(oracle.linear(images.numpy().reshape(3, 784), state, "fc1"))
    hidden = oracle.relu(oracle.linear(hidden, state, "fc2"))
    np.testing.assert_allclose(net(images).detach().numpy(), oracle.linear(hidden, state, "fc3"), rtol=1e-10)


def test_lenet_5_has_no_relu_after_its_convolutions(oracle, state_of):
    net = lenet_5_caffe((1, 28, 28), 10).double()
    images = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    state = state_of(net)
    hidden = images.numpy()
    for layer in ("conv1", "conv2"):
        hidden = oracle.max_pool(oracle.convolve(hidden, state[f"{layer}.weight"], state[f"{layer}.bias"]))
    assert hidden.shape == (3, 50, 4, 4)
    assert hidden.min() < 0
    hidden = oracle.relu(oracle.linear(hidden.reshape(3, 800), state, "fc1"))
    np.testing.assert_allclose(net(images).detach().numpy(), oracle.linear(hidden, state, "fc2"), rtol=1e-10)
