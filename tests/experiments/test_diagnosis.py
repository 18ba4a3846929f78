"""A diagnosis against singular values, gradients and repairs computed apart from it."""

import copy
import json

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thresher.core import Mask, prunable
from thresher.core.errors import DataError, MaskMismatchError
from thresher.experiments.diagnosis import diagnose


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 10), nn.Tanh(), nn.Linear(10, 3))


@pytest.fixture
def data():
    draw = torch.Generator().manual_seed(1)
    return [(torch.randn(n, 8, generator=draw), torch.randint(3, (n,), generator=draw)) for n in (20, 10)]


@pytest.fixture
def mask(net):
    draw = torch.Generator().manual_seed(2)
    return Mask({n: torch.rand(p.shape, generator=draw) < 0.3 for n, p in prunable(net).items()})


def examples(data):
    return torch.cat([x for x, _ in data]), torch.cat([y for _, y in data])


def expected(net, mask, data):
    """Singular values by jacrev, and the squared gradient by autograd, of the network with removed weights at zero."""
    net = copy.deepcopy(net).double()
    if mask is not None:
        mask.apply_(net)
    inputs, targets = examples(data)
    values = torch.linalg.svdvals(torch.func.vmap(torch.func.jacrev(net))(inputs.double()))
    cross_entropy(net(inputs.double()), targets).backward()
    square = sum(
        float((p.grad if mask is None or name not in mask else p.grad * mask[name]).square().sum())
        for name, p in net.named_parameters()
    )
    return values.detach(), square


def test_figures_are_those_of_the_dense_the_pruned_and_the_repaired_network(net, mask, data):
    found = diagnose(net, mask, data, repair=True)
    for figures, model, kept in (
        (found.report, net, mask),
        (found.report["dense"], net, None),
        (found.report["repaired"], found.repaired, mask),
    ):
        values, square = expected(model, kept, data)
        assert figures["jacobian_singular_mean"] == pytest.approx(float(values.mean()))
        assert figures["jacobian_singular_std"] == pytest.approx(float(values.std(correction=0)))
        assert figures["jacobian_singular_max"] == pytest.approx(float(values.max()))
        assert figures["jacobian_singular_min"] == pytest.approx(float(values.min()))
        assert figures["condition_number"] == pytest.approx(float(values.max() / values.min()))
        assert figures["first_order_decrease"] == pytest.approx(square, rel=1e-5)
        assert figures["jacobian_examples"] == 30
    assert found.report["repaired"]["orthogonality_score"] < found.report["orthogonality_score"]
    json.dumps(found.report, allow_nan=False)


def test_the_first_order_decrease_is_what_a_small_step_takes_off(net, mask, data):
    rate = 1e-4
    inputs, targets = examples(data)
    model = copy.deepcopy(net).double()
    mask.apply_(model)
    loss = cross_entropy(model(inputs.double()), targets)
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= rate * parameter.grad
    mask.apply_(model)
    lost = float((loss - cross_entropy(model(inputs.double()), targets)).detach())
    assert diagnose(net, mask, data).report["first_order_decrease"] == pytest.approx(lost / rate, rel=1e-3)


def test_repair_keeps_the_mask_and_the_model_that_was_given(net, mask, data):
    before = copy.deepcopy(net.state_dict())
    found = diagnose(net.train(), mask, data, repair=True)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.training
    assert all(not bool(p[~mask[name]].any()) for name, p in found.repaired.named_parameters() if name in mask)
    assert any(not torch.equal(p, before[name]) for name, p in found.repaired.named_parameters())


def test_without_a_loss_nothing_is_derived_from_one_and_the_rest_is_the_same(net, mask, data):
    known = diagnose(net, mask, data, repair=True).report
    blind = diagnose(net, mask, [(x, torch.zeros(len(x), 7)) for x, _ in data], loss=None, repair=True).report
    for figures, others in ((blind, known), (blind["dense"], known["dense"]), (blind["repaired"], known["repaired"])):
        assert figures["first_order_decrease"] is None
        same = figures.keys() - {"first_order_decrease", "dense", "repaired", "layers"}
        assert {key: figures[key] for key in same} == {key: others[key] for key in same}
    absent = {"gradient_norm": None, "sensitivity_quantiles": {}, "sensitivity_share": None}
    assert blind["layers"] == [{**row, **absent} for row in known["layers"]]
    json.dumps(blind, allow_nan=False)


def test_a_checkpoint_without_removed_values_has_no_dense_network_to_compare_with(net, mask, data):
    mask.apply_(net)
    found = diagnose(net, mask, data)
    assert found.report["dense"] is None
    assert found.report["repaired"] is None
    assert found.repaired is None


def test_rows_say_what_is_kept_and_what_works_of_it(net, mask, data):
    keep = dict(mask.items())
    keep["2.weight"] = torch.zeros(10, 12, dtype=torch.bool)
    keep["2.weight"][0, 0] = True
    found = diagnose(net, Mask(keep), data, repair=True).report
    first, second, third = found["layers"]
    assert (second["kept"], second["units"]) == (1, 10)
    assert second["live_units"] <= 1
    assert first["live_units"] <= 1
    assert third["effective"] == int(keep["4.weight"][:, 0].sum()) * second["effective"]
    assert second["orthogonality_floor"] == pytest.approx(3.0)  # nine of ten rows have no weight
    assert second["orthogonality_score_repaired"] == pytest.approx(3.0, abs=1e-6)
    assert sum(row["sensitivity_share"] for row in found["layers"]) == pytest.approx(1.0)
    assert set(first["sensitivity_quantiles"]) == {"0.05", "0.25", "0.5", "0.75", "0.95"}


def test_a_network_that_is_cut_in_two_is_diagnosed_and_says_so(net, mask, data):
    keep = {**mask, "2.weight": torch.zeros(10, 12, dtype=torch.bool)}
    found = diagnose(net, Mask(keep), data, repair=True).report
    assert found["disconnected"]
    assert found["jacobian_singular_max"] == 0.0
    assert found["condition_number"] is None
    assert found["effective_sparsity"] == 1.0
    assert found["layers"][1]["sensitivity_quantiles"] == {}
    json.dumps(found, allow_nan=False)


def test_answers_that_no_path_reaches_are_counted_and_hidden_units_are_not(net, mask, data):
    keep = {name: torch.ones_like(kept) for name, kept in mask.items()}
    keep["4.weight"][2] = False
    assert diagnose(net, Mask(keep), data).report["answers_cut_off"] == 1
    inner = torch.ones_like(keep["0.weight"])
    inner[:3] = False
    assert diagnose(net, Mask({"0.weight": inner}), data).report["answers_cut_off"] == 0


def test_normalization_that_saw_no_batch_is_told_from_one_that_did(data):
    net = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    mask = Mask({"0.weight": torch.arange(48).view(6, 8) % 2 == 0})
    assert diagnose(net, mask, data).report["unsettled_normalization"]
    net(data[0][0])
    assert not diagnose(net, mask, data).report["unsettled_normalization"]
    net[1].num_batches_tracked.zero_()  # as after a checkpoint from before batches were counted
    assert not diagnose(net, mask, data).report["unsettled_normalization"]


def test_layers_say_how_many_jacobians_were_looked_at_and_whether_wholly(net, mask, data):
    wide = nn.Sequential(
        nn.Linear(8, 600), nn.Linear(600, 600), nn.Linear(600, 3)
    )  # beyond 512 rows they are estimated
    keep = torch.ones(600, 600, dtype=torch.bool)
    (row,) = diagnose(wide, Mask({"1.weight": keep}), data).report["layers"]
    assert (row["jacobian"]["exact"], row["jacobian"]["examples"]) == (False, 16)
    for row in diagnose(net, mask, data).report["layers"]:
        assert (row["jacobian"]["exact"], row["jacobian"]["examples"]) == (True, 16)


def test_no_examples_and_another_models_mask_are_refused(net, mask, data):
    with pytest.raises(DataError):
        diagnose(net, mask, [])
    with pytest.raises(MaskMismatchError):
        diagnose(nn.Linear(8, 3), mask, data)
