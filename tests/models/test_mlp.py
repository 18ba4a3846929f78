import numpy as np
import pytest
import torch

from thresher.core.errors import ArgumentError, UnknownNameError
from thresher.models import build
from thresher.models.mlp import mlp, parse_mlp

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. 2017, §"SELU"
FUNCTIONS = {
    "linear": lambda x: x,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "leaky-relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0))),
}


@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize("num_layers", [1, 2, 5])
def test_against_numpy(activation, num_layers, oracle, state_of):
    net = build(f"mlp-{num_layers}-{activation}", input_shape=(2, 4, 4), num_classes=3).double()
    images = torch.randn(6, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    state = state_of(net)
    assert set(state) == {f"fc{k}.{part}" for k in range(1, num_layers + 1) for part in ("weight", "bias")}
    hidden = images.numpy().reshape(6, 32)
    for k in range(1, num_layers):
        hidden = FUNCTIONS[activation](oracle.linear(hidden, state, f"fc{k}"))
        assert hidden.shape == (6, 100)
    expected = oracle.linear(hidden, state, f"fc{num_layers}")
    np.testing.assert_allclose(net(images).detach().numpy(), expected, rtol=1e-9, atol=1e-14)


def test_the_name_alone_means_tanh():
    assert parse_mlp("mlp-12") == {"num_layers": 12, "activation": "tanh"}
    assert repr(build("mlp-4")) == repr(build("mlp-4-tanh")) != repr(build("mlp-4-relu"))


@pytest.mark.parametrize("name", ["mlp-", "mlp-x", "mlp-3-", "xmlp-3", "mlp--3", "mlp-٣"])
def test_other_forms_are_no_mlp(name):
    assert parse_mlp(name) is None


def test_no_layers_and_no_such_activation():
    with pytest.raises(ArgumentError, match="K = 0"):
        build("mlp-0-tanh")
    with pytest.raises(UnknownNameError, match="activation of mlp-2 'leaky': did you mean 'leaky-relu'"):
        mlp((4,), 2, num_layers=2, activation="leaky")
