from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import structural_rank as of_scipy

from thresher.analysis.structural_rank import structural_rank
from thresher.core.errors import ArgumentError


def drawn(rows, columns, density, seed):
    return torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)) < density


@pytest.mark.parametrize("seed", range(60))
def test_it_is_the_largest_number_of_kept_entries_on_a_diagonal(seed):
    generator = torch.Generator().manual_seed(seed)
    rows, columns = (int(size) for size in torch.randint(1, 6, (2,), generator=generator))
    keep = torch.rand(rows, columns, generator=generator) < torch.rand((), generator=generator)
    short, long = sorted((rows, columns))
    wide = keep if rows <= columns else keep.T
    best = max(sum(bool(wide[i, c]) for i, c in enumerate(order)) for order in permutations(range(long), short))
    assert structural_rank(keep) == best


# sparse enough that the first greedy pass is not enough, and paths of several rows are needed
@pytest.mark.parametrize(("rows", "columns", "density"), [(300, 300, 0.008), (200, 500, 0.004), (700, 150, 0.003)])
@pytest.mark.parametrize("seed", range(3))
def test_larger_ones_agree_with_another_implementation(rows, columns, density, seed):
    keep = drawn(rows, columns, density, seed)
    assert structural_rank(keep) == of_scipy(csr_matrix(keep.numpy().astype(float)))


def test_a_random_matrix_of_the_support_has_that_rank():
    keep = drawn(60, 80, 0.03, 0)
    random = keep.numpy() * np.random.default_rng(0).normal(size=keep.shape)
    assert structural_rank(keep) == np.linalg.matrix_rank(random) < 60


def test_a_long_chain_whose_singular_values_are_lost_to_rounding():
    # ones on the diagonal, two beside it: of full rank, with a singular value near 2^-200
    keep = torch.eye(200, dtype=torch.bool) | torch.eye(200, dtype=torch.bool).roll(1, 1).triu(1)
    matrix = np.eye(200) + 2 * np.eye(200, k=1)
    assert np.linalg.matrix_rank(matrix) == 199
    assert structural_rank(keep) == 200


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (0, 3), (3, 0), (3, 4)])
def test_nothing_kept(rows, columns):
    assert structural_rank(torch.zeros(rows, columns, dtype=torch.bool)) == 0


@pytest.mark.parametrize("keep", [torch.ones(2, 2), torch.ones(4, dtype=torch.bool)])
def test_what_is_no_bool_matrix_is_refused(keep):
    with pytest.raises(ArgumentError, match="keep is a bool matrix: got"):
        structural_rank(keep)
