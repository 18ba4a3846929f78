import pytest
import torch

from thresher.core.errors import ArgumentError
from thresher.criteria import CRITERIA, GradientMagnitude
from thresher.experiments.method import METHODS, allocation_of, criterion_of, pattern_of, schedule_of
from thresher.patterns import Block, Channel, NofM, Unstructured


def test_every_criterion_has_a_method_of_its_name():
    for name, kind in CRITERIA.items():
        assert isinstance(criterion_of(name, torch.nn.functional.cross_entropy, torch.Generator()), kind)
    assert set(CRITERIA) < set(METHODS)


def test_the_variant_without_the_weight():
    made = criterion_of("gradient", torch.nn.functional.cross_entropy, torch.Generator())
    assert isinstance(made, GradientMagnitude)
    assert not made.times_weight


@pytest.mark.parametrize("name", [name for name in METHODS if name != "dense"])
def test_methods_read_data_exactly_if_they_say_so(name):
    net = torch.nn.Linear(4, 3)
    read = []

    def batches():
        read.append(1)
        yield torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 1, 2])

    class Data:
        def __iter__(self):
            return batches()

    criterion = criterion_of(name, torch.nn.functional.cross_entropy, torch.Generator().manual_seed(0))
    criterion.scores(net, {"weight": net.weight}, Data())
    assert bool(read) == criterion.reads_data


def test_patterns_as_they_are_written():
    assert pattern_of("unstructured") == Unstructured()
    assert pattern_of("channel") == Channel()
    assert pattern_of("block:8x4") == Block((8, 4))
    assert pattern_of("2:4") == NofM(2, 4)


@pytest.mark.parametrize("text", ["", "2:", "a:b", "block:", "block:4xx", "block:0x1", "4:2", "0:4"])
def test_other_patterns_are_refused(text):
    with pytest.raises(ArgumentError):
        pattern_of(text)


def test_dense_and_unknown_names_are_no_methods():
    with pytest.raises(ArgumentError, match="snip"):
        criterion_of("dense", torch.nn.functional.cross_entropy, torch.Generator())
    with pytest.raises(ArgumentError):
        allocation_of("per-tensor")
    with pytest.raises(ArgumentError):
        schedule_of("snip", "exp", None)
