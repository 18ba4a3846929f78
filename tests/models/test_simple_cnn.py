import numpy as np
import torch

from thresher.models.simple_cnn import simple_cnn


def test_against_numpy(oracle, state_of):
    net = simple_cnn((2, 9, 11), 5).double()
    images = torch.randn(3, 2, 9, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    state = state_of(net)
    hidden = images.numpy()
    for layer in ("conv1", "conv2"):
        hidden = oracle.convolve(hidden, state[f"{layer}.weight"], state[f"{layer}.bias"], padding=2)
        hidden = oracle.max_pool(oracle.relu(hidden))
    assert hidden.shape == (3, 64, 2, 2)
    hidden = oracle.relu(oracle.linear(hidden.reshape(3, 256), state, "fc1"))
    assert hidden.shape == (3, 1024)
    np.testing.assert_allclose(net(images).detach().numpy(), oracle.linear(hidden, state, "fc2"), rtol=1e-9)
