import pytest
import torch

from thresher.bench.cases import CASES, selected
from thresher.core.errors import UnknownNameError


@pytest.mark.parametrize("name", CASES)
def test_a_case_is_the_same_each_time_and_takes_its_inputs(name):
    case = CASES[name]
    state = torch.random.get_rng_state()
    one, other = case.build(), case.build()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert one is not other
    for key, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[key])
    output = one.eval()(torch.zeros(2, *case.input_shape))
    assert output.shape == ((2, *case.input_shape) if case.kind == "layer" else (2, 10))


@pytest.mark.parametrize(
    ("name", "weights"),
    [("linear-1024", 1024**2), ("conv-64@32", 9 * 64**2), ("conv-512@4", 9 * 512**2)],
)
def test_layers_have_the_published_sizes(name, weights):
    assert CASES[name].build().get_parameter("layer.weight").numel() == weights


def test_the_perceptron_is_784_1024_1024_10():
    shapes = [tuple(p.shape) for n, p in CASES["mlp-784-1024-1024-10"].build().named_parameters() if "weight" in n]
    assert shapes == [(1024, 784), (1024, 1024), (10, 1024)]


def test_patterns_choose_in_the_tables_order_each_once():
    assert selected(["resnet-20", "conv-*", "conv-512@4"]) == [*(n for n in CASES if n.startswith("conv")), "resnet-20"]


def test_a_typo_gets_the_near_miss():
    with pytest.raises(UnknownNameError, match="did you mean 'resnet-20'"):
        selected(["conv-*", "resnet-2o"])
