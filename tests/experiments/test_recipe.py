import dataclasses
import json

import pytest

from thresher.core.errors import ArgumentError, FileFormatError, UnknownNameError
from thresher.experiments import Recipe


def make(**changes):
    return Recipe(**{"data": "mnist", "model": "lenet-300-100", "method": "snip", "sparsity": 0.95, **changes})


def test_the_hash_of_a_recipe_never_changes():
    # printed once; a change here renames everybody's runs
    assert make().hash == "a73941c5588b88ee872cd7e47220db67e99293cc81d64eb7c858155efe28b816"


def test_every_field_changes_the_hash_and_its_default_does_not():
    changes = {"seed": 1, "budget": "21ep", "protect": ("first",), "engine": "masked", "score_examples": 0}
    hashes = {make(**{name: value}).hash for name, value in changes.items()}
    assert len(hashes | {make().hash}) == len(changes) + 1
    defaults = {f.name: f.default for f in dataclasses.fields(Recipe) if f.default is not dataclasses.MISSING}
    same = {name: defaults[name] for name in changes}
    assert make(**same).hash == make().hash


def test_a_new_field_with_a_default_keeps_old_hashes():
    later = dataclasses.make_dataclass("Later", [("added", int, 7)], bases=(Recipe,), frozen=True, kw_only=True)
    old = dataclasses.asdict(make())
    assert later(**old).hash == make().hash
    assert later(**old, added=8).hash != make().hash


def test_milestones_change_the_hash_and_their_absence_does_not():
    assert make(milestones=()).hash == make().hash
    others = [(), ("8ep",), ("8ep", "12ep"), ("8ep", "13ep")]
    assert len({make(milestones=milestones).hash for milestones in others}) == len(others)


@pytest.mark.parametrize("decays", [{"decay_every": "5ep"}, {"milestones": ("8ep", "12ep")}])
def test_json_round_trip(small, decays):
    recipe = dataclasses.replace(small, protect=("first", "fc3.*"), **decays)
    again = Recipe.from_json(recipe.to_json(), "here")
    assert again == recipe
    assert again.hash == recipe.hash
    assert not again.differences(recipe)
    assert len({again, recipe}) == 1


def test_a_recipe_that_was_written_before_there_were_milestones_is_the_same(small):
    fields = json.loads(small.to_json())
    del fields["milestones"]
    assert Recipe.from_json(json.dumps(fields), "here") == small


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"data": "mnist"}', '{"data": "mnist", "model": "vgg-c", "x": 1}'])
def test_a_foreign_recipe_file_is_refused(text):
    with pytest.raises(FileFormatError, match=r"somewhere/recipe\.json"):
        Recipe.from_json(text, "somewhere/recipe.json")


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"data": "mnits"}, "did you mean 'mnist'"),
        ({"model": "lenet-5"}, "did you mean 'lenet-5-caffe'"),
        ({"model": "lenet-301-100"}, "did you mean 'lenet-300-100'"),
        ({"method": "synflwo"}, "did you mean 'synflow'"),
        ({"allocation": "erc"}, "did you mean 'erk'"),
        ({"schedule": "cubik"}, "did you mean 'cubic'"),
        ({"initializer": "glorrot"}, "did you mean 'glorot'"),
        ({"reinitialize": True, "reinitialize_by": "hee"}, "did you mean 'he'"),
        ({"labels": "shufled"}, "did you mean 'shuffled'"),
        ({"perturb": "shufle"}, "did you mean 'shuffle'"),
        ({"engine": "maskd"}, "did you mean 'masked'"),
        ({"holding": "freze"}, "did you mean 'freeze'"),
        ({"on_collapse": "repare"}, "did you mean 'repair'"),
        ({"optimizer": "adan"}, "did you mean 'adam'"),
        ({"decay": "cosin"}, "did you mean 'cosine'"),
        ({"pattern": "chanel"}, "did you mean 'channel'"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_near_miss(change, hint):
    with pytest.raises(UnknownNameError if "pattern" not in change else ArgumentError, match=hint):
        make(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"sparsity": 1.0},
        {"sparsity": -0.1},
        {"sparsity": float("nan")},
        {"sparsity": 95},
        {"sparsity": 0.0},
        {"method": "dense"},
        {"engine": "sparse", "method": "dense", "sparsity": 0.0},
        {"engine": "sparse", "holding": "freeze"},
        {"engine": "sparse", "holding": "straight-through"},
        {"engine": "dense"},
        {"reinitialize_by": "he"},
        {"perturb": "invert", "method": "dense", "sparsity": 0.0},
        {"perturb": "shuffle", "pattern": "channel"},
        {"budget": "0ep"},
        {"budget": "ten"},
        {"evaluate_every": "0it"},
        {"batch_size": 0},
        {"validation": 1.0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"score_examples": -1},
        {"rounds": 0},
        {"rounds": 3, "schedule": "one-shot"},
        {"pattern": "5:4"},
        {"milestones": ("8ep",), "decay_every": "5ep"},
        {"milestones": ("8ep",), "decay": "cosine"},
        {"milestones": ("12ep", "8ep")},
        {"milestones": ("8ep", "8ep")},
        {"milestones": ("0ep",)},
        {"milestones": ("8",)},
        {"milestones": "8ep"},
        {"milestones": ["8ep"]},
        {"milestones": (8, 12)},
    ],
)
def test_values_out_of_range_are_refused(change):
    with pytest.raises(ArgumentError):
        make(**change)


def test_an_n_of_m_pattern_brings_its_sparsity():
    assert make(pattern="1:4", sparsity=0.0).sparsity == 0.75


def test_the_plan_counts_in_steps_of_the_data_set():
    plan = make(budget="3ep50it", evaluate_every="1ep").plan(steps_per_epoch=540)
    assert (plan.steps, plan.evaluate_every, plan.decay_every) == (1670, 540, 418)  # a quarter, rounded up
    assert make(decay_every="25000it").plan(540).decay_every == 25000
    assert make(decay="cosine").plan(540).decay_every is None
    plan = make(milestones=("8ep", "9ep30it", "12ep")).plan(540)
    assert (plan.milestones, plan.decay_every) == ((4320, 4890, 6480), None)


def test_both_ways_to_say_when_the_rate_decays_are_named():
    with pytest.raises(ArgumentError, match=r"so give one: got '5ep' and \('8ep',\)"):
        make(milestones=("8ep",), decay_every="5ep")


def test_the_name_says_what_was_run():
    assert make().name == f"mnist-lenet-300-100-snip-0.95-seed0-{make().hash[:8]}"
    assert json.loads(make().to_json())["sparsity"] == 0.95


def test_normal_weights_take_a_variance():
    words = {"data": "digits", "model": "lenet-300-100"}
    small = Recipe(**words, initializer="normal:0.01", reinitialize=True, reinitialize_by="truncated-normal:0.5")
    assert Recipe.from_json(small.to_json(), "here") == small
    assert small.hash != Recipe(**words, initializer="normal").hash
    with pytest.raises(ArgumentError, match=r"variance of the weights.*got '-1'"):
        Recipe(**words, initializer="normal:-1", reinitialize=True, reinitialize_by="he")
    with pytest.raises(ArgumentError, match=r"variance of the weights.*got 'abc'"):
        Recipe(**words, reinitialize=True, reinitialize_by="normal:abc")
