import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.core.seeds import generator, isolated_random_state


def stream(seed, purpose, n=8):
    return torch.randint(2**62, (n,), generator=generator(seed, purpose)).tolist()


@given(st.integers(-(2**70), 2**70), st.text(st.characters(codec="utf-8"), max_size=5))
def test_the_seed_is_the_hash_of_seed_and_purpose(seed, purpose):
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).hexdigest()[:16]
    assert generator(seed, purpose).initial_seed() % 2**64 == int(digest, 16)


def test_other_seeds_and_purposes_give_other_streams():
    pairs = [(seed, purpose) for seed in (0, 1, -1, 10, 2**40) for purpose in ("", "shuffle", "init", "0", "1/init")]
    assert len({tuple(stream(*pair)) for pair in pairs}) == len(pairs)


def test_a_draw_for_one_purpose_moves_no_other_and_not_the_global_state():
    before = torch.get_rng_state()
    shuffle, init = generator(3, "shuffle"), generator(3, "init")
    torch.rand(100, generator=init)
    assert torch.randint(2**62, (8,), generator=shuffle).tolist() == stream(3, "shuffle")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_global_state_is_back_afterwards_even_after_an_error():
    before = torch.get_rng_state()
    with isolated_random_state():
        torch.rand(5)
    assert torch.equal(torch.get_rng_state(), before)

    def draw_and_fail():
        with isolated_random_state(seed=1):
            torch.rand(5)
            raise KeyError

    with pytest.raises(KeyError):
        draw_and_fail()
    assert torch.equal(torch.get_rng_state(), before)


def test_inside_the_state_goes_on_or_starts_from_the_seed():
    with isolated_random_state():
        first = torch.rand(3)
    assert torch.equal(torch.rand(3), first)  # the same state, so the same draw once more
    draws = []
    for _ in range(2):
        with isolated_random_state(seed=7):
            draws.append(torch.rand(3))
        torch.rand(1)
    assert torch.equal(*draws)
    assert torch.equal(draws[0], torch.rand(3, generator=torch.Generator().manual_seed(7)))
