from dataclasses import replace

import pytest

from thresher.papers.published import NotRun
from thresher.papers.thesis_protocol import ADAM, CIFAR, MNIST
from thresher.papers.training_protocol import TrainingProtocol

TOY = TrainingProtocol(data="mnist", batch_size=100, iterations=8000, decay_every=2500)


def test_a_shorter_run_decays_at_the_same_fractions():
    work = TOY.work("lenet-300-100", "snip", 0.9, quick=800)
    quick, full = work["quick"].recipe, work["full"].recipe
    assert (full.budget, full.decay_every, full.decay) == ("8000it", "2500it", "step")
    assert (quick.budget, quick.decay_every) == ("800it", "250it")
    assert (quick.method, quick.sparsity, quick.batch_size) == ("snip", 0.9, 100)


def test_a_shorter_run_passes_its_milestones_at_the_same_fractions():
    protocol = replace(TOY, decay_every=None, milestones=(4000, 6000))
    work = protocol.work("lenet-300-100", quick=80)
    for budget, milestones in (("full", ("4000it", "6000it")), ("quick", ("40it", "60it"))):
        recipe = work[budget].recipe
        assert (recipe.decay, recipe.milestones, recipe.decay_every) == ("step", milestones, None)


def test_without_either_the_rate_is_constant():
    recipe = replace(TOY, decay_every=None).work("lenet-300-100", quick=80)["full"].recipe
    assert (recipe.decay, recipe.milestones, recipe.decay_every) == ("constant", (), None)


def test_fields_of_a_cell_overrule_those_of_the_protocol():
    work = TOY.work("lenet-300-100", quick=800, weight_decay=0.0, labels="shuffled")
    assert {work[budget].recipe.weight_decay for budget in ("quick", "full")} == {0.0}
    assert {work[budget].recipe.labels for budget in work} == {"shuffled"}


@pytest.mark.parametrize(("model", "stands_in"), [("gru-s", "gru-s"), ("vgg-d", "lenet-300-100")])
def test_smoke_is_four_steps_on_digits(model, stands_in):
    recipe = CIFAR.work(model, "synflow", 0.9, quick=10, score_examples=0)["smoke"].recipe
    assert (recipe.data, recipe.model, recipe.budget) == ("digits", stands_in, "4it")
    assert (recipe.score_examples, recipe.augment, recipe.rounds) == (64, False, 5)


def test_quick_may_be_refused():
    reason = NotRun("too slow")
    assert CIFAR.work("vgg-d", quick=reason)["quick"] is reason


def test_the_thesis_as_section_3_5_has_it():
    mnist, cifar, adam = (p.work("lenet-300-100", quick=8)["full"].recipe for p in (MNIST, CIFAR, ADAM))
    for recipe, data, batch, decay in ((mnist, "mnist", 100, "25000it"), (cifar, "cifar-10", 128, "30000it")):
        assert (recipe.data, recipe.batch_size, recipe.decay_every) == (data, batch, decay)
        assert (recipe.learning_rate, recipe.decay_factor, recipe.weight_decay) == (0.1, 0.1, 5e-4)
        assert (recipe.validation, recipe.augment) == (0.1, data == "cifar-10")
    assert (adam.optimizer, adam.learning_rate, adam.weight_decay, adam.decay) == ("adam", 1e-3, 0.0, "constant")
