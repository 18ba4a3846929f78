import torch

from thresher.core.touch import Touch
from thresher.experiments.tally import Tally


def test_distinct_examples_reads_and_times():
    tally = Tally()
    draws = torch.Generator().manual_seed(0)
    seen, reads = set(), 0
    for _ in range(50):
        indices = torch.randint(1000, (7,), generator=draws)
        seen |= set(indices.tolist())
        reads += 7
        tally(Touch("a", "train", 7, indices))
    tally(Touch("a", "snip", 3, torch.tensor([1, 2, 3])))
    tally(Touch("?", "snip", 10))
    tally(Touch("?", "snip", 10))
    rows = {(row["dataset"], row["purpose"]): row for row in tally.rows()}
    assert rows["a", "train"] == {
        "dataset": "a",
        "purpose": "train",
        "count": len(seen),
        "reads": reads,
        "times": round(reads / len(seen)),
    }
    assert rows["a", "snip"]["count"] == 3
    assert (rows["?", "snip"]["count"], rows["?", "snip"]["times"]) == (20, 1)


def test_state_round_trip_goes_on_counting():
    one, other = Tally(), Tally()
    one(Touch("a", "train", 2, torch.tensor([0, 5])))
    other.load_state_dict(one.state_dict())
    for tally in (one, other):
        tally(Touch("a", "train", 2, torch.tensor([5, 9])))
    assert one.rows() == other.rows()
    assert one.rows()[0]["count"] == 3
