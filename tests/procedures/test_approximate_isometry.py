import math

import pytest
import torch
from torch import nn

from thresher.core.errors import ArgumentError, NonFiniteError
from thresher.core.mask import Mask
from thresher.initializers import DeltaOrthogonal, Orthogonal
from thresher.layers import sparsify
from thresher.procedures.approximate_isometry import _lowest, _schatten, approximate_isometry_
from thresher.procedures.orthogonality import orthogonality


def random_mask(model, density, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Mask(
        {n: torch.rand(p.shape, generator=generator) < density for n, p in model.named_parameters() if p.dim() > 1}
    )


def orthogonal(model, seed=0):
    Orthogonal().initialize_(model, torch.Generator().manual_seed(seed))
    return model


@pytest.mark.parametrize("seed", range(2))
def test_a_tenth_of_an_orthogonal_matrix_is_repaired(seed):
    layer = orthogonal(nn.Linear(100, 100).double(), seed)
    mask = random_mask(layer, 0.1, seed)
    mask.apply_(layer)
    values = torch.linalg.svdvals(layer.weight.detach())
    assert values.mean().item() == pytest.approx(0.26, abs=0.02)
    assert values.max().item() == pytest.approx(0.70, abs=0.06)
    _, after = approximate_isometry_(layer, mask)
    values = torch.linalg.svdvals(layer.weight.detach())
    rank = 100 - round(after.floor**2)
    assert values.mean().item() == pytest.approx(rank / 100, abs=2e-3)
    assert values[:rank].min() > 0.99
    assert values.max() < 1.01
    assert not layer.weight[~mask["weight"]].any()


def test_the_objective_of_the_thesis_is_reached_lower_than_by_gradient_descent():
    layer = orthogonal(nn.Linear(40, 40).double())
    mask = random_mask(layer, 0.15)
    keep = mask["weight"]
    weight = (layer.weight.detach() * keep).requires_grad_()
    lowest = math.inf
    for _ in range(2000):  # equation 4.8 as written, by autograd, rate 0.1 cut by ten three times
        loss = torch.linalg.matrix_norm((weight * keep) @ (weight * keep).T - torch.eye(40, dtype=torch.float64))
        (gradient,) = torch.autograd.grad(loss, weight)
        lowest = min(lowest, loss.item())
        weight = (weight - 0.1 * 0.1 ** (_ // 500) * gradient).detach().requires_grad_()
    _, after = approximate_isometry_(layer, mask)
    assert after.score == pytest.approx(
        torch.linalg.matrix_norm(layer.weight.detach() @ layer.weight.detach().T - torch.eye(40)).item(), rel=1e-9
    )
    assert after.floor == 0.0
    assert after.score < 0.01 < 0.5 < lowest


@pytest.mark.parametrize("norm", ["frobenius", "spectral"])
@pytest.mark.parametrize(
    ("make", "density"),
    [
        (lambda: nn.Linear(60, 20), 0.3),
        (lambda: nn.Linear(20, 60), 0.3),
        (lambda: nn.Conv2d(6, 8, 3), 0.4),
        (lambda: nn.Conv2d(8, 8, 3, groups=2), 0.6),
        (lambda: nn.LSTM(30, 10), 0.4),
        (lambda: nn.GRU(10, 30), 0.4),
        (lambda: nn.MultiheadAttention(16, 2), 0.6),
    ],
)
def test_layers_of_any_kind_come_near_isometry(make, density, norm):
    torch.manual_seed(0)
    model = make()
    mask = random_mask(model, density)
    untouched = {n: p.clone() for n, p in model.named_parameters() if n not in mask}
    identities = [id(p) for p in model.parameters()]
    before, after = approximate_isometry_(model, mask, norm=norm)
    assert [id(p) for p in model.parameters()] == identities
    assert all(torch.equal(p, untouched[n]) for n, p in model.named_parameters() if n in untouched)
    for old, new in zip(before.layers, after.layers, strict=True):
        assert new.score <= old.score
        assert new.score < new.floor + (0.1 if norm == "frobenius" else 0.3)
        assert not dict(model.named_parameters())[new.name][~mask[new.name]].any()
    found = orthogonality(model, mask, norm=norm)  # of the float32 weights that were written
    assert found.score == pytest.approx(after.score, abs=1e-5)


def test_where_there_is_a_floor_the_rest_is_repaired():
    layer = orthogonal(nn.Linear(30, 20).double())
    mask = random_mask(layer, 0.3)
    keep = mask["weight"].clone()
    keep[:3] = False
    keep[:, 0] = False
    _, after = approximate_isometry_(layer, Mask({"weight": keep}))
    values = torch.linalg.svdvals(layer.weight.detach())
    assert after.layers[0].floor == pytest.approx(math.sqrt(3))
    assert after.layers[0].score == pytest.approx(math.sqrt(3), abs=1e-3)
    assert values[17:].max() < 1e-6
    assert torch.allclose(values[:17], torch.ones(17, dtype=torch.float64), atol=0.01)


def test_the_spectral_norm_is_that_of_torch_and_goes_to_its_floor():
    for keep_rows, floor in ((20, 0.0), (17, 1.0)):
        layer = orthogonal(nn.Linear(30, 20).double())
        keep = random_mask(layer, 0.3)["weight"].clone()
        keep[keep_rows:] = False
        before, after = approximate_isometry_(layer, Mask({"weight": keep}), norm="spectral", steps=800)
        values = torch.linalg.svdvals(layer.weight.detach())
        assert after.score == pytest.approx((values**2 - 1).abs().max().item(), rel=1e-9)
        assert after.floor == floor
        assert floor - 1e-12 <= after.score < floor + 0.02
        assert before.score >= after.score


@pytest.mark.parametrize("order", [4, 8])
def test_the_gradient_of_schatten_norms_is_that_of_autograd(order):
    g = torch.randn(2, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    keep = torch.rand(2, 5, 8, generator=torch.Generator().manual_seed(1)) < 0.6
    values = torch.linalg.svdvals(g @ g.mT - torch.eye(5))
    expected = values.pow(order).sum(1).pow(1 / order)
    (slope,) = torch.autograd.grad(expected.sum(), g)
    norm, gradient = _schatten(g.detach(), keep, order)
    assert torch.allclose(norm, expected)
    assert torch.allclose(gradient, slope * keep)


def test_stopping_looks_at_what_is_above_the_floor():
    # most of this score is the floor: the rest is small change of it, and must come down all the same
    layer = orthogonal(nn.Linear(200, 100).double())
    keep = random_mask(layer, 0.1)["weight"].clone()
    keep[20:] = False
    _, after = approximate_isometry_(layer, Mask({"weight": keep}), tolerance=1e-6)
    values = torch.linalg.svdvals(layer.weight.detach())[:20]
    assert after.floor == pytest.approx(math.sqrt(80))
    assert torch.allclose(values, torch.ones_like(values), atol=1e-4)


def test_more_steps_go_lower_and_none_leave_what_the_projections_gave():
    scores = []
    for steps in (0, 5, 50):
        layer = orthogonal(nn.Linear(60, 30).double())
        before, after = approximate_isometry_(layer, random_mask(layer, 0.15), steps=steps, tolerance=1e-9)
        scores.append(after.score)
    assert before.score > scores[0] > scores[1] > scores[2]
    assert scores[2] < scores[0] / 10  # steepest descent with the same line search: a fifth


def test_a_sparse_model_is_repaired_as_the_masked_dense_one():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ConvTranspose2d(4, 4, 3), nn.Linear(5, 4), nn.LSTM(4, 3))
    mask = random_mask(model, 0.5)
    mask.apply_(model)
    sparse = sparsify(model, mask, "always")
    results = approximate_isometry_(sparse), approximate_isometry_(model, mask)
    assert results[0] == results[1]
    assert results[0][1].score < results[0][0].score
    dense = model.state_dict()
    assert all(torch.equal(dense[n], t) for n, t in sparse.state_dict().items())


def test_layers_of_one_shape_do_not_disturb_each_other():
    model = orthogonal(nn.Sequential(*(nn.Linear(20, 20).double() for _ in range(3)), nn.Linear(20, 20).double()))
    mask = random_mask(model, 0.3)
    alone = [nn.Linear(20, 20).double() for _ in range(4)]
    for layer, own in zip(alone, model, strict=True):
        layer.load_state_dict(own.state_dict())
    approximate_isometry_(model, mask)
    for i, layer in enumerate(alone):
        approximate_isometry_(layer, Mask({"weight": mask[f"{i}.weight"]}))
        assert torch.allclose(layer.weight, model[i].weight, atol=1e-6)


def test_it_does_not_depend_on_anything_but_weights_and_mask():
    one, two = (orthogonal(nn.Linear(20, 15)) for _ in range(2))
    mask = random_mask(one, 0.3)
    state = torch.get_rng_state()
    approximate_isometry_(one, mask)
    assert torch.equal(torch.get_rng_state(), state)
    two.weight.data[~mask["weight"]] = 7.0  # what is removed has no say
    approximate_isometry_(two, mask)
    assert torch.equal(one.weight, two.weight)


def test_orthogonal_zero_empty_and_frozen_layers_stay():
    model = orthogonal(nn.Sequential(*(nn.Linear(6, 6) for _ in range(4))))
    model[3].weight = nn.Parameter(torch.zeros(0, 6))
    nn.init.zeros_(model[1].weight)
    model[2].requires_grad_(False)
    model[2].weight.data.fill_(3.0)
    first = model[0].weight.detach().clone()
    _, after = approximate_isometry_(model)
    assert torch.allclose(model[0].weight, first, atol=1e-6)
    assert not model[1].weight.any()
    assert (model[2].weight == 3.0).all()
    assert [layer.name for layer in after.layers] == ["0.weight", "1.weight", "3.weight"]
    assert after.layers[1].score == pytest.approx(math.sqrt(6))


@pytest.mark.parametrize(("argument", "value"), [("steps", -1), ("tolerance", 0.0), ("tolerance", math.nan)])
def test_arguments_out_of_range(argument, value):
    with pytest.raises(ArgumentError, match="steps is not negative and tolerance positive"):
        approximate_isometry_(nn.Linear(2, 2), **{argument: value})


def test_weights_that_are_not_finite_and_norms_unknown_are_refused_before_anything_moves():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight.data[0, 0] = math.inf
    before = model[0].weight.detach().clone()
    with pytest.raises(NonFiniteError, match=r"1\.weight: 1 of 9"):
        approximate_isometry_(model)
    with pytest.raises(ArgumentError, match="norm is"):
        approximate_isometry_(model, norm="fro")
    assert torch.equal(model[0].weight, before)


@pytest.mark.parametrize("norm", ["frobenius", "spectral"])
@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1e3, 1e15])
def test_how_long_the_weights_are_does_not_matter(scale, norm):
    layer = orthogonal(nn.Linear(40, 30).double())
    mask = random_mask(layer, 0.3)
    scaled = nn.Linear(40, 30).double()
    scaled.weight.data.copy_(layer.weight * scale)
    _, expected = approximate_isometry_(layer, mask, norm=norm)
    _, found = approximate_isometry_(scaled, mask, norm=norm)
    assert expected.score < 0.05
    assert found.score == pytest.approx(expected.score, abs=5e-3)


def test_rows_of_very_different_lengths_come_near_isometry_too():
    layer = nn.Linear(100, 100)
    layer.weight.data[50:] *= 1e6
    _, after = approximate_isometry_(layer, random_mask(layer, 0.3))
    assert after.score < 0.02


@pytest.mark.parametrize("start", ["constant", "rank 3", "equal rows"])
def test_singular_values_that_are_exactly_zero_are_raised(start):
    layer = orthogonal(nn.Linear(20, 20))
    with torch.no_grad():
        if start == "constant":
            layer.weight.fill_(0.05)
        elif start == "rank 3":
            layer.weight.zero_()
            layer.weight[:3, :3] = torch.eye(3)
        else:
            layer.weight[1] = layer.weight[0]
    keep = Mask({"weight": torch.ones(20, 20, dtype=torch.bool)})
    before, after = approximate_isometry_(layer, keep)
    assert before.score > 0.9
    assert after.floor == 0.0
    assert after.score < 1e-3 * 20**0.5  # the tolerance


def test_the_first_delta_orthogonal_convolution_is_repaired():
    layer = nn.Conv2d(3, 64, 3)
    DeltaOrthogonal().initialize_(layer, torch.Generator().manual_seed(0))
    _, after = approximate_isometry_(layer, random_mask(layer, 0.2))
    assert after.score < 0.01


def test_the_score_afterwards_is_that_of_the_weights_as_they_are_kept():
    layer = orthogonal(nn.Linear(30, 30)).to(torch.bfloat16)
    mask = random_mask(layer, 0.4)
    _, after = approximate_isometry_(layer, mask)
    assert after.score == pytest.approx(orthogonality(layer, mask).score, rel=1e-6)
    assert after.score > 0.01  # eight bits


def test_what_the_steps_add_up_to_is_what_it_would_be_anew(monkeypatch):
    ends = []
    for every in (10, 1):
        monkeypatch.setattr("thresher.procedures.approximate_isometry._CHECK_EVERY", every)
        monkeypatch.setattr("thresher.procedures.approximate_isometry._GAIN", -1.0)  # nothing is given up
        layer = orthogonal(nn.Linear(30, 30).double())
        approximate_isometry_(layer, random_mask(layer, 0.3), steps=9, tolerance=1e-12)
        ends.append(layer.weight.detach().clone())
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-10)


def test_a_small_tolerance_is_met_in_float64():
    ends = []
    for tolerance in (1e-9, 1e-3):
        layer = orthogonal(nn.Linear(30, 30).double())
        _, after = approximate_isometry_(layer, random_mask(layer, 0.6), tolerance=tolerance)
        ends.append(after.score)
    assert ends[0] < 1e-8
    assert 1e-8 < ends[1] < 1e-3 * 30**0.5


@pytest.mark.parametrize(
    ("coefficients", "place"),
    [
        ([5.0, -4.0, 2.0, 0.0, 1e-9], 1.0),  # 2 (t - 1)² + 3, and next to nothing beyond
        ([1.0, 0.0, -2.0, 0.0, 1.0], 1.0),  # (t² - 1)²
        ([1.0, 4.0, 6.0, 4.0, 1.0], 0.0),  # (t + 1)⁴: every step forward is worse
        ([0.0, 0.0, 0.0, 0.0, 0.0], 0.0),
        # stationary at 1e80, 2e80 and 3e80, where its values overflow
        ([0.0, -24e230, 22e150, -8e70, 1e-10], 0.0),
        ([1e-14, 0.0, 1e-20, -1e-30, 0.0], 0.0),  # rounding alone: its stationary points lie beyond all numbers
    ],
)
def test_the_step_is_the_lowest_place_ahead(coefficients, place):
    found = _lowest(torch.tensor([coefficients], dtype=torch.float64))
    assert found.tolist() == pytest.approx([place], abs=1e-6)
