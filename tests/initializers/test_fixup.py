import pytest
import torch
from torch import nn

from thresher.core.errors import ArgumentError
from thresher.initializers import Fixup, VarianceScaling
from thresher.models import build


def drawn(model, seed=0):
    return {row.name: row for row in Fixup().initialize_(model, torch.Generator().manual_seed(seed))}


def he(model, seed=0):
    VarianceScaling(2.0, "in", "normal").initialize_(model, torch.Generator().manual_seed(seed))
    return dict(model.named_parameters())


# number of residual blocks L and of 3×3 layers on a branch m, by the papers; which convolutions end a branch
@pytest.mark.parametrize(("name", "blocks"), [("resnet-8", 3), ("resnet-20", 9), ("resnet-56", 27), ("wrn-16-8", 6)])
def test_the_branches_of_our_residual_networks_are_read(name, blocks):
    model = build(name)
    rows = drawn(model)
    plain = he(build(name))
    ends = {n for n, row in rows.items() if row.done == "zero, the end of a residual branch"}
    assert ends == {n for n in plain if n.endswith("conv2.weight")}
    assert len(ends) == blocks
    for key, parameter in model.named_parameters():
        if key in ends or key == "fc.weight" or "bias" in key:
            assert not parameter.any() or "bn" in key
        elif "conv1" in key and key != "conv1.weight":
            assert torch.equal(parameter, plain[key] * blocks ** (-1 / 2))  # m = 2: L^(-1/(2m-2))
            assert f"{blocks}^(-1/2)" in rows[key].done
            assert "no scalar biases" in rows[key].shortfall
            assert ("undoes the scale" in rows[key].shortfall) == (name != "resnet-8")
        else:
            assert torch.equal(parameter, plain[key])
            assert key not in rows or rows[key].done == "He normal"
    assert rows["fc.weight"].done == "zero, the last layer"
    assert list(rows) == [n for n, p in model.named_parameters() if p.dim() > 1]


class Residual(nn.Module):
    """x + branch(x), with an activation at the end so that the next sum does not begin where this one ends."""

    def __init__(self, branch, shortcut=None):
        super().__init__()
        self.branch, self.shortcut = branch, shortcut

    def forward(self, x):
        own = x if self.shortcut is None else self.shortcut(x)
        return torch.relu(torch.add(own, self.branch(x)))


def chain(num_layers):
    return nn.Sequential(*(nn.Linear(4, 4) for _ in range(num_layers)))


@pytest.mark.parametrize("num_layers", [1, 2, 3, 4])
def test_the_power_depends_on_the_layers_of_the_branch(num_layers):
    model = nn.Sequential(*(Residual(chain(num_layers)) for _ in range(5)), nn.Linear(4, 2))
    drawn(model)
    plain = he(nn.Sequential(*(Residual(chain(num_layers)) for _ in range(5)), nn.Linear(4, 2)))
    for block in range(5):
        for layer in range(num_layers):
            weight = model[block].branch[layer].weight
            last = layer == num_layers - 1
            scale = 0.0 if last else 5 ** (-1 / (2 * num_layers - 2))
            assert torch.allclose(weight, plain[f"{block}.branch.{layer}.weight"] * scale)
    assert not model[5].weight.any()


def test_a_new_network_passes_its_input_through_every_block():
    model = nn.Sequential(*(Residual(chain(3)) for _ in range(4)))
    drawn(model)
    inputs = torch.rand(2, 4)
    assert torch.equal(model(inputs), inputs)


class Control(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(x) + x if x.sum() > 0 else x


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return x + self.a(x + self.b(x))


class Wide(nn.Module):
    """A branch that ends in two layers side by side."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, x):
        return x + torch.cat([self.a(x), self.b(x)], 1)


def shared():
    layer = nn.Linear(4, 4)
    return nn.Sequential(Residual(layer), Residual(layer))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU()), "has none: choose another initializer"),
        (Control, "torch.fx cannot trace Control"),
        (lambda: nn.Sequential(Residual(chain(1), nn.Linear(4, 4))), "cannot tell the residual branch from the shortc"),
        (lambda: nn.Sequential(Residual(chain(3), chain(2))), "cannot tell the residual branch from the shortcut"),
        (Nested, r"chains of layers, each used once: the one that add_1 adds has \['b', 'a'\]"),
        (Wide, "chains of layers, each used once"),
        (shared, "chains of layers, each used once"),
        (lambda: nn.Sequential(Residual(nn.Bilinear(4, 4, 4))), "is a Bilinear"),
    ],
)
def test_what_cannot_be_read_is_refused_and_nothing_is_drawn(make, said):
    model = make()
    if isinstance(model, nn.Sequential) and "Bilinear" in said:
        model[0].forward = lambda x: x + model[0].branch(x, x)
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(ArgumentError, match=said):
        drawn(model)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


class Shifted(nn.Module):
    """Two inputs and a constant are added, none of which is a branch."""

    def __init__(self):
        super().__init__()
        self.block = Residual(chain(2))

    def forward(self, x, y):
        return self.block(x + y + 1)


class Around(Shifted):
    """A branch that holds another."""

    def forward(self, x, y):
        return self.block(x + y) + x.relu()


def test_sums_without_layers_are_no_branches():
    rows = drawn(Shifted())
    assert [row.done for row in rows.values()] == ["He normal · 1 = 1^(-1/2)", "zero, the end of a residual branch"]
    with pytest.raises(ArgumentError, match="chains of layers"):
        drawn(Around())
