import copy
import pickle

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from thresher.core import Batch, listen, read_batches
from thresher.core.errors import DataError

CPU = torch.device("cpu")
INPUTS, TARGETS = torch.arange(12.0).reshape(6, 2), torch.arange(6)
PAIRS = [(INPUTS[:4], TARGETS[:4]), (INPUTS[4:], TARGETS[4:])]


def test_the_batches_come_in_order():
    read = list(read_batches(PAIRS, "snip", CPU))
    for (inputs, targets), (x, y) in zip(read, PAIRS, strict=True):
        assert inputs is x
        assert targets is y


def test_plain_pairs_are_touched_by_count_only():
    with listen() as touches:
        list(read_batches(PAIRS, "snip", CPU))
    assert [(t.dataset, t.purpose, t.count, t.indices) for t in touches] == [
        ("?", "snip", count, None) for count in (4, 2)
    ]


def test_batches_that_know_their_examples_say_so():
    batch = Batch(INPUTS, TARGETS, "digits", torch.tensor([5, 3, 1, 0, 2, 4]))
    with listen() as touches:
        (read,) = read_batches([batch], "grasp", CPU)
    assert read is batch
    assert (touches[0].dataset, touches[0].purpose, touches[0].count) == ("digits", "grasp", 6)
    assert touches[0].indices.tolist() == [5, 3, 1, 0, 2, 4]


def test_only_what_is_read_is_touched_before_it_is_handed_out():
    with listen() as touches:
        reader = read_batches(PAIRS, "snip", CPU)
        assert touches == []
        next(reader)
        assert [t.count for t in touches] == [4]


def test_a_batch_is_the_pair_and_survives_copy_and_pickle():
    batch = Batch(INPUTS, TARGETS, "digits", torch.arange(6))
    inputs, targets = batch
    assert inputs is INPUTS
    assert targets is TARGETS
    for twin in (copy.copy(batch), copy.deepcopy(batch), pickle.loads(pickle.dumps(batch))):
        assert isinstance(twin, Batch)
        assert torch.equal(twin[0], INPUTS)
        assert torch.equal(twin[1], TARGETS)
        assert twin.source == "digits"
        assert torch.equal(twin.indices, torch.arange(6))


def test_a_data_loader_is_read_whole():
    loader = DataLoader(TensorDataset(INPUTS, TARGETS), batch_size=4)
    read = list(read_batches(loader, "snip", CPU))
    assert torch.equal(torch.cat([batch[0] for batch in read]), INPUTS)


def test_an_iterator_will_do():
    assert len(list(read_batches(iter(PAIRS), "snip", CPU))) == 2


@pytest.mark.parametrize("data", [3, 0.5, object()])
def test_what_cannot_be_iterated_over_is_an_error(data):
    with pytest.raises(DataError, match=f"expects an iterable.*got {type(data).__name__}"):
        next(read_batches(data, "snip", CPU))


def test_pairs_of_different_lengths_are_an_error():
    with pytest.raises(DataError, match="6 inputs but 4 targets"):
        next(read_batches([(INPUTS, TARGETS[:4])], "snip", CPU))


def test_no_data_and_empty_data_are_errors():
    with pytest.raises(DataError, match="snip reads examples: pass data="):
        next(read_batches(None, "snip", CPU))
    with pytest.raises(DataError, match="snip got data without a single batch"):
        list(read_batches([], "snip", CPU))


@pytest.mark.parametrize(
    ("item", "came"),
    [
        (INPUTS, r"one tensor of shape \(6, 2\)"),
        ((INPUTS,), r"a tuple of \['Tensor'\]"),
        ([INPUTS, TARGETS, TARGETS], r"a list of \['Tensor', 'Tensor', 'Tensor'\]"),
        ((INPUTS, 3), r"a tuple of \['Tensor', 'int'\]"),
        ((INPUTS.numpy(), TARGETS), r"a tuple of \['ndarray', 'Tensor'\]"),
        ({"x": INPUTS}, "dict"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_pair_of_tensors_is_described(item, came):
    with pytest.raises(DataError, match=rf"snip expects \(inputs, targets\) pairs.*got {came}"):
        list(read_batches([item], "snip", CPU))


@pytest.mark.parametrize("inputs", [INPUTS[:0], torch.tensor(1.0)])
def test_a_batch_without_examples_is_an_error_and_no_touch(inputs):
    with listen() as touches, pytest.raises(DataError, match="without examples"):
        list(read_batches([(inputs, TARGETS[:0])], "snip", CPU))
    assert touches == []


@pytest.mark.parametrize("which", ["inputs", "targets"])
def test_a_batch_on_another_device_is_an_error_with_both_devices(which):
    pair = [t.to("meta") if name == which else t for name, t in (("inputs", INPUTS), ("targets", TARGETS))]
    with pytest.raises(DataError, match=rf"snip got {which} on meta but the model's weights are on cpu.*\.to\('cpu'\)"):
        list(read_batches([pair], "snip", CPU))
