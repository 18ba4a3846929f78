import itertools

import pytest

from thresher.core.errors import ArgumentError
from thresher.experiments.comparison import comparison


def test_every_combination_is_there_once_with_dense_beside_it():
    methods, sparsities = ["random", "snip", "synflow"], [0.9, 0.95]
    points = comparison(["digits", "mnist"], ["lenet-300-100", "mlp-3"], methods, sparsities, seeds=3)
    came = [(r.data, r.model, r.method, r.sparsity, r.seed) for r in points]
    cells = [("dense", 0.0), *itertools.product(methods, sparsities)]
    expected = {
        (data, model, method, sparsity, seed)
        for data, model, (method, sparsity), seed in itertools.product(
            ["digits", "mnist"], ["lenet-300-100", "mlp-3"], cells, range(3)
        )
    }
    assert len(came) == len(set(came))
    assert set(came) == expected


def test_a_study_cut_short_has_every_cell():
    points = comparison(["digits"], ["lenet-300-100"], ["random", "snip"], [0.9], seeds=4)
    assert [r.seed for r in points] == sorted(r.seed for r in points)


def test_each_data_set_has_its_protocol_and_the_fields_go_beyond_it():
    points = comparison(["digits", "mnist"], ["lenet-300-100"], ["snip"], [0.9], 1, {"budget": "7it"})
    assert {(r.data, r.batch_size) for r in points} == {("digits", 32), ("mnist", 100)}
    assert {r.budget for r in points} == {"7it"}


def test_dense_is_one_run_however_the_others_are_pruned():
    fields = {"engine": "sparse", "rounds": 3, "reinitialize": True, "perturb": "shuffle", "allocation": "erk"}
    plain = comparison(["digits"], ["lenet-300-100"], ["snip"], [0.9], 1)
    points = comparison(["digits"], ["lenet-300-100"], ["dense", "snip"], [0.9], 1, fields)
    assert points[0] == plain[0]
    assert points[0].method == "dense"
    assert (points[1].engine, points[1].rounds, points[1].perturb) == ("sparse", 3, "shuffle")
    assert len(points) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": 0}, "at least one seed"),
        ({"sparsities": []}, "no sparsity to prune to by snip"),
        ({"methods": []}, "at least one method"),
        ({"models": []}, "at least one model"),
        ({"methods": ["snpi"]}, r"method='snpi'.*did you mean 'snip'"),
        ({"sparsities": [0.9, 95]}, "sparsity=95"),
        ({"fields": {"seed": 3}}, "seed is an axis"),
        ({"fields": {"bugdet": "1it"}}, "bugdet"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_starts(arguments, message):
    good = {"data": ["digits"], "models": ["lenet-300-100"], "methods": ["snip"], "sparsities": [0.9], "seeds": 1}
    with pytest.raises(ArgumentError, match=message):
        comparison(**{**good, **arguments})


def test_nothing_but_dense_needs_no_sparsity():
    assert [r.method for r in comparison(["digits"], ["lenet-300-100"], ["dense"], [], 1)] == ["dense"]
