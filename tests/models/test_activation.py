import pytest
import torch

from thresher.core.errors import UnknownNameError
from thresher.models.activation import ACTIVATIONS, activation_called

# by hand: exp(-2) = 0.1353..., SELU's constants as Klambauer et al. 2017 print them
SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772
EXPECTED = {
    "linear": (-2.0, 3.0),
    "tanh": (-0.9640275800758169, 0.9950547536867305),
    "relu": (0.0, 3.0),
    "leaky-relu": (-0.4, 3.0),
    "selu": (SCALE * ALPHA * (0.1353352832366127 - 1.0), SCALE * 3.0),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values(name):
    values = activation_called(name, "net")()(torch.tensor([-2.0, 3.0], dtype=torch.float64))
    assert values.tolist() == pytest.approx(EXPECTED[name], rel=1e-12)


def test_each_is_made_anew():
    assert activation_called("relu", "net")() is not activation_called("relu", "net")()


def test_an_unknown_name_says_of_which_network():
    with pytest.raises(UnknownNameError, match=r"activation of vgg 'gelu'.*Known: linear"):
        activation_called("gelu", "vgg")
