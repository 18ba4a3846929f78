"""Against torch.linalg.svd of torch.func.jacrev, and products of matrices in closed form."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from thresher.analysis import singular_values as pooling
from thresher.analysis.jacobian import jacobian_singular_values
from thresher.core import Mask, listen, prunable
from thresher.core.errors import ArgumentError, DataError, MaskMismatchError, NonFiniteError
from thresher.layers import sparsify


def data_of(shape, batches=(3, 2), seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [(torch.randn(n, *shape, generator=draw), torch.zeros(n)) for n in batches]


def by_jacrev(model, data):
    """Singular values of every example's Jacobian, float64, by forward calls on one example at a time."""
    model = copy.deepcopy(model).double().eval()
    jacobians = [
        torch.func.jacrev(lambda x: model(x.unsqueeze(0)).squeeze(0))(example.double()).flatten(-example.dim())
        for inputs, _ in data
        for example in inputs
    ]
    return torch.linalg.svdvals(torch.stack([j.reshape(-1, j.shape[-1]) for j in jacobians]))


def random_mask(model, density=0.4, seed=3):
    draw = torch.Generator().manual_seed(seed)
    return Mask({n: torch.rand(p.shape, generator=draw) < density for n, p in prunable(model).items()})


class InPlace(nn.Module):
    """Works in place from the first operation on."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x):
        x += 1.0
        x.mul_(0.5)
        return self.second(torch.relu_(self.first(x)))


def conv_net():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(16, 3),
    )


NETS = {
    "tanh": (lambda: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)), (6,)),
    "wide answer": (lambda: nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 9)), (3,)),
    "convolution": (conv_net, (2, 4, 4)),
}


@pytest.mark.parametrize("name", NETS)
def test_values_are_those_of_each_examples_own_jacobian(name):
    make, shape = NETS[name]
    torch.manual_seed(0)
    model, data = make(), data_of(shape)
    found = jacobian_singular_values(model, data)
    expected = by_jacrev(model, data)
    torch.testing.assert_close(found.values.sort().values, expected.flatten().sort().values)
    assert found.examples == 5


def test_operations_in_place_give_what_their_copies_give():
    torch.manual_seed(0)
    model, data = InPlace(), data_of((6,))
    before = [x.clone() for x, _ in data]
    plain = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    plain.load_state_dict(
        {"0.weight": model.first.weight * 0.5, "0.bias": model.first.weight.sum(1) * 0.5 + model.first.bias}
        | {"2.weight": model.second.weight, "2.bias": model.second.bias}
    )
    found = jacobian_singular_values(model, data)
    expected = by_jacrev(plain, [(x, None) for x in before])
    torch.testing.assert_close(found.values.sort().values, expected.flatten().sort().values)
    assert all(torch.equal(now, then) for (now, _), then in zip(data, before, strict=True))


def test_a_linear_network_is_the_product_of_its_masked_matrices():
    torch.manual_seed(1)
    model = nn.Sequential(*[nn.Linear(7, 7) for _ in range(4)])
    mask = random_mask(model)
    product = np.eye(7)
    for k in range(4):
        product = (model[k].weight.detach().double().numpy() * mask[f"{k}.weight"].numpy()) @ product
    found = jacobian_singular_values(model, data_of((7,)), mask=mask)
    expected = np.linalg.svd(product, compute_uv=False)
    np.testing.assert_allclose(found.values.reshape(5, 7), np.tile(expected, (5, 1)), atol=1e-12)


def test_removed_weights_count_as_zero_whatever_they_hold_and_sparse_layers_agree():
    torch.manual_seed(2)
    model, data = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)), data_of((6,))
    mask = random_mask(model)
    zeroed = copy.deepcopy(model)
    mask.apply_(zeroed)
    expected = by_jacrev(zeroed, data).flatten()
    torch.testing.assert_close(jacobian_singular_values(model, data, mask=mask).values, expected)
    torch.testing.assert_close(jacobian_singular_values(sparsify(model, mask, "always"), data).values, expected)


def test_a_singular_value_far_below_float32s_rounding_is_seen():
    model = nn.Linear(2, 2, bias=False)
    model.weight.data = torch.diag(torch.tensor([1.0, 1e-12]))
    found = jacobian_singular_values(nn.Sequential(model, nn.Linear(2, 2, bias=False)), data_of((2,)))
    assert found.condition_number > 1e10
    assert jacobian_singular_values(model, data_of((2,))).condition_number == pytest.approx(1e12, rel=1e-4)


def test_examples_of_a_batch_are_taken_in_parts_that_fit(monkeypatch):
    torch.manual_seed(0)
    model, data = nn.Linear(6, 3), data_of((6,))
    whole = jacobian_singular_values(model, data).values
    monkeypatch.setattr(pooling, "_BYTES", 8 * 3 * 6 * 2)
    torch.testing.assert_close(jacobian_singular_values(model, data).values, whole)


def test_a_jacobian_too_large_to_write_out_is_estimated(monkeypatch):
    torch.manual_seed(0)
    model, data = nn.Sequential(nn.Linear(12, 10), nn.Tanh(), nn.Linear(10, 9)), data_of((12,))
    monkeypatch.setattr(pooling, "_ROWS", 8)
    found = jacobian_singular_values(model, data)
    assert not found.exact
    # nine steps for nine values: the nodes are all of them
    torch.testing.assert_close(found.values.sort().values, by_jacrev(model, data).flatten().sort().values)


def test_the_model_and_its_mode_come_back_and_reads_are_reported():
    model = conv_net().train()
    before = copy.deepcopy(model.state_dict())
    state = torch.get_rng_state()
    with listen() as touches:
        jacobian_singular_values(model, data_of((2, 4, 4)))
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert [(touch.purpose, touch.count) for touch in touches] == [("jacobian", 3), ("jacobian", 2)]


def test_it_works_where_the_caller_has_switched_gradients_off():
    model, data = nn.Linear(3, 2), data_of((3,))
    with torch.no_grad():
        found = jacobian_singular_values(model, data)
    torch.testing.assert_close(found.values, by_jacrev(model, data).flatten())


class Detached(nn.Linear):
    def forward(self, x):
        return super().forward(x.detach())


class BatchCentred(nn.Linear):
    def forward(self, x):
        return super().forward(x - x.mean(0))


class Summed(nn.Linear):
    def forward(self, x):
        return super().forward(x).sum()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Detached(3, 2), r"no way from the inputs of Detached"),
        (BatchCentred(3, 2), r"BatchCentred mixes the examples"),
        (nn.BatchNorm1d(3, track_running_stats=False), r"mixes the examples"),
        (Summed(3, 2), r"Summed returned shape \[\] for 3 examples"),
    ],
)
def test_what_has_no_jacobian_of_its_own_is_refused(model, message):
    with pytest.raises(ArgumentError, match=message):
        jacobian_singular_values(model, data_of((3,)))


def test_integers_have_no_derivative():
    model = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(8, 2))
    with pytest.raises(ArgumentError, match=r"got torch\.int64.*after its embedding"):
        jacobian_singular_values(model, [(torch.zeros(2, 2, dtype=torch.int64), torch.zeros(2))])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(value):
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    model[0].weight.data[1, 2] = value
    model[1].running_mean[0] = value
    with pytest.raises(NonFiniteError, match=r"1 of 6 values of 0\.weight; 1 of 2 values of 1\.running_mean"):
        jacobian_singular_values(model, data_of((3,)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("examples", [1, 3])
@pytest.mark.parametrize("layer", [nn.Tanh(), nn.ReLU(), nn.Identity()])  # two of which have a slope at NaN
def test_inputs_that_are_not_finite_are_counted(layer, examples, value):
    inputs = torch.zeros(examples, 2)
    inputs[0, 1] = value
    with pytest.raises(NonFiniteError, match=f"^1 of {2 * examples} inputs of a batch are NaN or infinite"):
        jacobian_singular_values(nn.Sequential(nn.Linear(2, 2), layer), [(inputs, torch.zeros(examples))])


class Root(nn.Linear):
    def forward(self, x):
        return super().forward(x.sqrt())


@pytest.mark.parametrize("examples", [1, 3])
def test_a_function_without_a_slope_does_not_pass_for_one_that_mixes_examples(examples):
    with pytest.raises(NonFiniteError, match=r"by the inputs is NaN or infinite: .*functions without a slope there"):
        jacobian_singular_values(Root(2, 2), [(torch.zeros(examples, 2), torch.zeros(examples))])


@pytest.mark.parametrize("examples", [1, 3])
def test_batch_normalization_without_running_statistics_is_named_whatever_the_batch(examples):
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, track_running_stats=False), nn.InstanceNorm1d(2))
    said = r"\(1: batch normalization without running statistics\).*build it with track_running_stats=True"
    with pytest.raises(ArgumentError, match=said):
        jacobian_singular_values(model, data_of((3,), (examples,)))


def test_no_data_and_a_foreign_mask_are_refused():
    with pytest.raises(DataError, match="jacobian"):
        jacobian_singular_values(nn.Linear(3, 2), [])
    with pytest.raises(MaskMismatchError):
        jacobian_singular_values(nn.Linear(3, 2), data_of((3,)), mask=Mask({"x": torch.ones(2, 3).bool()}))
