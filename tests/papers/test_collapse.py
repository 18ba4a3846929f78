import pytest
import torch
from torch.nn.functional import cross_entropy

from thresher.core.seeds import generator
from thresher.models import build
from thresher.papers.collapse import NOISE, first_empty_layer, least_kept

NETWORK = {"seed": 1, "data_dir": None, "download": False, "model": "resnet-20"}
EXPONENTS = tuple(i / 4 for i in range(4, 25))


def weights_of(net):
    return [p for p in net.parameters() if p.dim() > 1]


def he_normal():
    net = build("resnet-20", num_classes=100, seed=1)
    draws = generator(1, "initialization")
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if parameter.dim() > 1:
                fan_in = parameter[0].numel()
                parameter.normal_(0.0, (2.0 / fan_in) ** 0.5, generator=draws)
            elif name == "fc.bias":
                parameter.zero_()
    return net


def first_empty(scores):
    """By brute force: sort all scores and look whose best one is not among those kept."""
    every = torch.cat([s.flatten() for s in scores])
    ranks = torch.empty(len(every), dtype=torch.int64)
    ranks[torch.argsort(every, descending=True, stable=True)] = torch.arange(len(every))
    best = max(int(part.min()) for part in ranks.split([s.numel() for s in scores]))
    return next((e for e in EXPONENTS if round(len(every) * 10**-e) <= best), None)


def test_magnitude_against_a_sort():
    net = he_normal()
    found = first_empty_layer(**NETWORK, method="magnitude", data=NOISE, examples=0, exponents=EXPONENTS)
    assert found == {"first empty layer": first_empty([w.detach().abs() for w in weights_of(net)])}


def test_snip_against_autograd_and_a_sort():
    net = he_normal().eval()
    draws = generator(1, "scoring-examples")
    images, labels = torch.randn((8, 3, 32, 32), generator=draws), torch.randint(100, (8,), generator=draws)
    gradients = torch.autograd.grad(cross_entropy(net(images), labels), weights_of(net))
    scores = [(g * w.detach()).abs() for g, w in zip(gradients, weights_of(net), strict=True)]
    found = first_empty_layer(**NETWORK, method="snip", data=NOISE, examples=8, exponents=EXPONENTS)
    assert found == {"first empty layer": first_empty(scores)}


@pytest.mark.parametrize("method", ["random", "grasp"])
def test_others_empty_a_layer_somewhere_and_say_nothing_where_none_is(method):
    settings = {**NETWORK, "method": method, "data": NOISE, "examples": 4}
    (emptied,) = first_empty_layer(**settings, exponents=EXPONENTS).values()
    below = tuple(e for e in EXPONENTS if e < emptied)
    assert first_empty_layer(**settings, exponents=below) == {}


def test_synflow_keeps_something_in_every_layer_of_a_chain_where_magnitude_does_not():
    chain = {**NETWORK, "model": "mlp-7"}
    (emptied,) = first_empty_layer(**chain, method="magnitude", data=NOISE, examples=0, exponents=EXPONENTS).values()
    assert least_kept(**chain, exponent=emptied, rounds=100)["least kept"] >= 1
    # one weight is kept there
    assert least_kept(**chain, exponent=5.0, rounds=1)["least kept"] == 0
