"""JaxPruner's published input → mask pairs (google-research/jaxpruner, mask_calculator_test.py, Apache 2.0).

One departure, chosen: ties in n:m go to the lower index here and to the higher one there.
"""

import pytest
import torch

from thresher.core.topk import kept_count
from thresher.patterns import Block, Channel, NofM, Unstructured

HEIGHT_8 = [
    [0.69, 0.37, 0.96, 0.81, 0.79, 0.55, 0.88, 0.53],
    [0.66, 0.88, 0.40, 0.83, 0.13, 0.80, 0.91, 0.96],
    [0.34, 0.17, 0.07, 0.74, 0.13, 0.13, 0.83, 0.76],
    [0.13, 0.92, 0.25, 0.75, 0.37, 0.42, 0.65, 0.46],
]
FLAT_32 = torch.tensor(HEIGHT_8)
TWO_OF_4X4 = FLAT_32.view(2, 4, 4)
FOUR_OF_4X2 = FLAT_32.view(4, 4, 2)
EIGHT_ONES = torch.ones(8)
TIED_10 = torch.tensor([1, 0.5, 0.3, 0.2, 1, 1.5, 1.8, 2.0, 1, 1])
TWICE_TIED = TIED_10.repeat(2, 1)


def bits(*rows):
    """'0110' strings as a bool matrix."""
    return torch.tensor([[int(bit) for bit in row] for row in rows]).bool()


CASES = {
    "unstructured-0.8": (Unstructured(), TWO_OF_4X4, 0.8, bits("0010", "0010", "0100", "0011",
                                                              "0000", "0000", "0100", "0000")),
    "unstructured-all-tied": (Unstructured(), EIGHT_ONES, 0.5, bits("11110000")),
    "unstructured-some-tied": (Unstructured(), TIED_10, 0.5, bits("1000111100")),
    "unstructured-2d-tied": (Unstructured(), TWICE_TIED, 0.5, bits("1000111111", "0000011100")),
    "2:4-last-axis": (NofM(2, 4, axis=-1), TWO_OF_4X4, 0.5, bits("0011", "1010", "0101", "0011",
                                                                "1001", "0011", "0101", "0011")),
    "2:4-axis-1": (NofM(2, 4, axis=1), TWO_OF_4X4, 0.5, bits("1010", "1000", "0101", "0111",
                                                            "1000", "0011", "0101", "1110")),
    "2:4-all-tied-departs": (NofM(2, 4, axis=0), EIGHT_ONES, 0.5, bits("11001100")),
    "2:4-nothing-to-prune": (NofM(2, 4, axis=1), TWO_OF_4X4, 0.0, bits(*["1111"] * 8)),
    "channel-axis-1": (Channel(axis=1), TWO_OF_4X4, 0.5, bits("0000", "0000", "1111", "1111",
                                                             "0000", "0000", "1111", "1111")),
    "channel-axis-minus-2": (Channel(axis=-2), TWO_OF_4X4, 0.5, bits("0000", "0000", "1111", "1111",
                                                                    "0000", "0000", "1111", "1111")),
    "channel-axis-2": (Channel(axis=2), TWO_OF_4X4, 0.5, bits(*["0011"] * 8)),
    "channel-axis-minus-1": (Channel(axis=-1), TWO_OF_4X4, 0.5, bits(*["0011"] * 8)),
    "channel-tied": (Channel(axis=1), TWICE_TIED, 0.5, bits("1000111100", "1000111100")),
    "block-2d-mean": (Block((2, 3)), FLAT_32, 0.2, bits("11111111", "11111111", "00011111", "00011111")),
    "block-2d-max": (Block((2, 3), "max"), FLAT_32, 0.2, bits("11111111", "11111111", "11100011", "11100011")),
    "block-1d-mean": (Block((3,)), FLAT_32[0], 0.2, bits("00011111")),
    "block-1d-max": (Block((3,), "max"), FLAT_32[0], 0.2, bits("11100011")),
    "block-3d-mean": (Block((2, 2)), FOUR_OF_4X2, 0.2, bits("11111111", "11111111", "00001111", "00001111")),
    "block-3d-max": (Block((2, 2), "max"), FOUR_OF_4X2, 0.2, bits("11111111", "11111111", "11110000", "11110000")),
}  # fmt: skip


@pytest.mark.parametrize(("pattern", "scores", "sparsity", "expected"), CASES.values(), ids=CASES)
def test_published_pair(pattern, scores, sparsity, expected):
    mask = pattern.mask(scores, kept_count(scores.numel(), sparsity))
    assert torch.equal(mask.reshape(-1), expected.reshape(-1))
