import pytest
import torch

from thresher.core.errors import ArgumentError
from thresher.data import load
from thresher.experiments.scoring import scoring_batches


@pytest.fixture(scope="module")
def splits():
    return load("digits")


def test_one_batch_all_or_a_number_of_training_examples(splits):
    assert [len(y) for _, y in scoring_batches(splits, 100, None, seed=0)] == [100]
    assert sum(len(y) for _, y in scoring_batches(splits, 100, 0, seed=0)) == len(splits.train)
    assert [len(y) for _, y in scoring_batches(splits, 100, 250, seed=0)] == [100, 100, 50]
    assert [len(y) for _, y in scoring_batches(splits, 100, 7, seed=0)] == [7]


def test_never_a_held_out_example_and_only_the_seed_decides(splits):
    indices = torch.cat([batch.indices for batch in scoring_batches(splits, 64, 300, seed=3)])
    again = torch.cat([batch.indices for batch in scoring_batches(splits, 64, 300, seed=3)])
    other = torch.cat([batch.indices for batch in scoring_batches(splits, 64, 300, seed=4)])
    assert indices.equal(again)
    assert not indices.equal(other)
    assert len(set(indices.tolist())) == 300
    assert not set(indices.tolist()) & set(splits.validation.indices.tolist())


def test_more_than_there_are_is_refused(splits):
    with pytest.raises(ArgumentError, match="0 reads them all"):
        scoring_batches(splits, 100, 10_000, seed=0)
