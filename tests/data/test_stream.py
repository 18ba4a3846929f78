"""A stream: whole epochs, and bit-identical continuation from its step number."""

import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.core.errors import ArgumentError, DataError
from thresher.core.seeds import generator
from thresher.data import Dataset, Stream

STATISTICS = ([0.2, 0.4], [0.5, 0.25])


def toy(n):
    inputs = torch.randint(0, 256, (n, 2, 6, 6), dtype=torch.uint8, generator=generator(n, "toy"))
    return Dataset("toy/train", inputs, torch.arange(n) % 7, 7)


def stream(n=10, batch_size=4, seed=0, augment=True):
    return Stream(toy(n), STATISTICS, batch_size, seed=seed, augment=augment)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(1, 25))
def test_every_epoch_holds_every_example_once(n, batch_size):
    batches = stream(n, batch_size)
    whole, left = divmod(n, batch_size)
    assert batches.steps_per_epoch == whole + (left > 1 or whole == 0)  # one left over joins the batch before
    for epoch in range(3):
        seen = torch.cat([batches.next_batch().indices for _ in range(batches.steps_per_epoch)])
        assert seen.sort().values.tolist() == list(range(n))
        assert batches.step == (epoch + 1) * batches.steps_per_epoch


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = set()
    for seed in (0, 1):
        batches = stream(30, 30, seed)
        orders |= {tuple(batches.next_batch().indices.tolist()) for _ in range(3)}
    assert len(orders) == 6


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("taken", [0, 1, 2, 3, 4, 7])
def test_continues_bit_for_bit_through_a_file(taken, augment):
    whole = stream(augment=augment)
    for _ in range(taken):
        whole.next_batch()
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    file.seek(0)
    torch.manual_seed(99)
    fresh = stream(augment=augment)
    fresh.next_batch()  # an order is cached by now, and must be forgotten
    fresh.load_state_dict(torch.load(file, weights_only=True))
    for _ in range(8):
        ours, theirs = whole.next_batch(), fresh.next_batch()
        assert ours.indices.equal(theirs.indices)
        assert ours[0].equal(theirs[0])
        assert ours[1].equal(theirs[1])


def test_augmentation_is_drawn_anew_at_every_step_and_leaves_the_order_alone():
    plain, moved = stream(1, 1, augment=False), stream(1, 1, augment=True)
    seen = {tuple(moved.next_batch()[0].flatten().tolist()) for _ in range(20)}
    assert len(seen) > 10
    plain, moved = stream(augment=False), stream(augment=True)
    for _ in range(6):
        assert plain.next_batch().indices.equal(moved.next_batch().indices)


def test_leaves_the_global_random_state_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    stream().next_batch()
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (stream(seed=1), "seed=1; this one has 0"),
        (stream(batch_size=5), "batch_size=5; this one has 4"),
        (stream(n=11), "num_examples=11; this one has 10"),
        (stream(augment=False), "augment=0; this one has 1"),
    ],
)
def test_refuses_the_state_of_another_stream_and_stays_where_it_was(other, message):
    ours = stream()
    other.next_batch()
    with pytest.raises(ArgumentError, match=message):
        ours.load_state_dict(other.state_dict())
    assert ours.step == 0


@pytest.mark.parametrize("state", [{}, {"step": 3}, {**stream().state_dict(), "more": 1}])
def test_refuses_a_state_with_other_keys(state):
    with pytest.raises(ArgumentError, match=r"the state of a stream has the keys .*'step'"):
        stream().load_state_dict(state)


def test_refuses_a_negative_step():
    with pytest.raises(ArgumentError, match="not negative: got -1"):
        stream().load_state_dict({**stream().state_dict(), "step": -1})


def test_refuses_an_empty_data_set():
    with pytest.raises(DataError, match="toy/train holds no examples to train on"):
        Stream(toy(1).subset(torch.empty(0, dtype=torch.int64)), STATISTICS, 4, seed=0)
