import copy

import pytest
from torch import nn

from thresher.bench.contender import Contender, Unable, Variant
from thresher.bench.contenders import CONTENDERS
from thresher.bench.entrants import Field, Heat
from thresher.bench.race import race
from thresher.bench.spread import ratios, spread

pytestmark = pytest.mark.usefixtures("small")
BOTH = "forward+backward"


def same(model, mask, inputs):
    return copy.deepcopy(model)


def wrong(model, mask, inputs):
    return nn.Sequential(copy.deepcopy(model), nn.Hardtanh(-0.1, 0.1))


def refuse(model, mask, inputs):
    raise Unable("not on a Friday")


def crash(model, mask, inputs):
    raise MemoryError("no\nroom")


@pytest.fixture
def rival(monkeypatch):
    def enter(**variants):
        contender = Contender({name: Variant(build) for name, build in variants.items()})
        monkeypatch.setitem(CONTENDERS, "rival", contender)

    return enter


def by_what(rows):
    return {row["what"]: row for row in rows}


def test_a_layer_is_timed_forward_backward_and_both():
    rows = race(Heat("small-layer", 0.9, 8, train=True), ["dense", "csr"], 3, 1e9)
    assert [row["what"] for row in rows] == ["forward", "backward", BOTH]
    for row in rows:
        assert (row["case"], row["kind"], row["batch"], row["sparsity"]) == ("small-layer", "layer", 8, 0.9)
    for name in ("dense", "csr"):
        samples = {what: row["contenders"][name]["samples"] for what, row in by_what(rows).items()}
        for variant, taken in samples[BOTH].items():
            parts = zip(samples["forward"][variant], samples["backward"][variant], strict=True)
            assert taken == pytest.approx([f + b for f, b in parts])


def test_multiply_adds_are_those_of_the_kept_weights_and_their_share_is_of_the_peak():
    rows = by_what(race(Heat("small-layer", 0.9, 8, train=True), ["dense", "csr"], 3, 1e9))
    kept = {"dense": 2000, "csr": 200}
    for what, passes in (("forward", 1), ("backward", 2), (BOTH, 3)):
        for name, weights in kept.items():
            contender = rows[what]["contenders"][name]
            assert contender["multiply_adds"] == 8 * passes * weights
            rate = contender["multiply_adds"] / contender["seconds"]["median"]
            assert contender["peak_share"] == pytest.approx(rate / 1e9)


def test_a_step_does_not_ask_for_the_gradient_of_the_networks_inputs():
    (row,) = race(Heat("small-network", 0.5, 8, train=True), ["dense", "csr"], 3, 1e9)
    assert row["what"] == "step"
    assert row["contenders"]["dense"]["multiply_adds"] == 8 * (3 * (320 + 160) - 320)
    assert row["contenders"]["csr"]["multiply_adds"] == 8 * (3 * (160 + 80) - 160)


def test_memory_is_told_for_networks_in_training_beside_dense():
    (row,) = race(Heat("small-network", 0.5, 8, train=True), ["dense", "csr"], 3, 1e9)
    dense, csr = (row["contenders"][name]["bytes"] for name in ("dense", "csr"))
    assert dense["total"] == 12 * (480 + 26)
    assert dense["ratio"] == 1.0
    assert csr["parameters"] == csr["gradients"] == csr["optimizer"] == 4 * (240 + 26)
    # 20 → 16 and 16 → 10 in both orders: 32-bit pointers and indices, and one 64-bit order
    pointers = (16 + 1) + (20 + 1) + (10 + 1) + (16 + 1)
    assert csr["indices"] == 4 * (pointers + 2 * 240) + 8 * 240
    assert csr["ratio"] == csr["total"] / dense["total"]
    for row in race(Heat("small-layer", 0.5, 8, train=True), ["dense"], 1, 1e9):
        assert row["contenders"]["dense"]["bytes"] is None


def test_inference_is_one_row_and_holds_no_optimizer():
    (row,) = race(Heat("small-network", 0.5, 1, train=False), ["dense", "csr"], 3, 1e9)
    assert (row["what"], row["batch"]) == ("inference", 1)
    assert row["contenders"]["csr"]["bytes"] is None
    assert row["contenders"]["csr"]["multiply_adds"] == 240


def test_ratios_are_within_rounds_between_the_fastest_variants(rival):
    rival(one=same, other=same)
    rows = race(Heat("small-layer", 0.9, 8, train=True), ["dense", "rival", "thresher"], 5, 1e9)
    for row in rows:
        contenders = row["contenders"]
        best = {name: c["samples"][c["variant"]] for name, c in contenders.items()}
        for name, contender in contenders.items():
            medians = [spread(taken)["median"] for taken in contender["samples"].values()]
            assert contender["seconds"] == spread(best[name])
            assert contender["seconds"]["median"] == min(medians)
            assert contender["speedup"] == ratios(best["dense"], best[name])
            assert contender["behind"] == ratios(best[name], best["thresher"])
            assert all(len(taken) == 5 for taken in contender["samples"].values())
        assert contenders["rival"]["samples"].keys() == {"one", "other"}


def test_without_thresher_nobody_is_behind_it():
    for row in race(Heat("small-layer", 0.9, 8, train=True), ["dense"], 1, 1e9):
        assert row["contenders"]["dense"]["behind"] is None


def test_who_computes_something_else_is_not_timed(rival):
    rival(clipped=wrong)
    for row in race(Heat("small-layer", 0.9, 8, train=True), ["dense", "rival"], 1, 1e9):
        assert row["contenders"].keys() == {"dense"}
        assert row["absent"]["rival"].startswith("wrong output: relative error")


def test_a_variant_that_cannot_is_left_out_with_its_reason(rival):
    rival(good=same, friday=refuse, clipped=wrong, crashed=crash)
    for row in race(Heat("small-layer", 0.9, 8, train=True), ["dense", "rival"], 1, 1e9):
        contender = row["contenders"]["rival"]
        assert contender["variant"] == "good"
        assert contender["samples"].keys() == {"good"}
        assert contender["rejected"].keys() == {"friday", "clipped", "crashed"}
        assert contender["rejected"]["friday"] == "not on a Friday"
        assert contender["rejected"]["crashed"] == "MemoryError: no room"
        assert row["absent"] == {}


def test_a_contender_none_of_whose_variants_can_is_absent_with_every_reason_once(rival):
    rival(friday=refuse, saturday=refuse, crashed=crash)
    (row,) = race(Heat("small-network", 0.9, 8, train=True), ["dense", "rival"], 1, 1e9)
    assert row["absent"] == {"rival": "not on a Friday; MemoryError: no room"}


def test_who_does_not_train_is_not_missed_in_training(monkeypatch):
    monkeypatch.setitem(CONTENDERS, "rival", Contender({"one": Variant(same)}, trains=False))
    (row,) = race(Heat("small-network", 0.9, 8, train=True), ["dense", "rival"], 1, 1e9)
    assert row["contenders"].keys() == {"dense"}
    assert row["absent"] == {}
    (row,) = race(Heat("small-network", 0.9, 8, train=False), ["dense", "rival"], 1, 1e9)
    assert row["contenders"].keys() == {"dense", "rival"}


def test_every_layer_keeps_the_same_share_drawn_by_the_seed():
    masks = [Field(Heat("small-network", 0.75, 2, True, seed), []).mask for seed in (0, 0, 1)]
    assert masks[0].counts == {"fc1.weight": 80, "fc2.weight": 40}
    assert masks[0] == masks[1]
    assert masks[0] != masks[2]
    assert masks[0].counts == masks[2].counts


def test_dense_is_the_model_without_its_mask():
    field = Field(Heat("small-network", 0.75, 2, True), ["dense", "thresher"])
    dense = next(entrant for entrant in field.entrants if entrant.contender == "dense")
    assert all(bool((p != 0).all()) for p in dense.module.parameters())
