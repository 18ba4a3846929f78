"""Approximate isometry: the kept weights of each layer moved so that its matrix preserves norms, without data."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from thresher.core.errors import ArgumentError
from thresher.core.mask import Mask
from thresher.layers import SparseLayer
from thresher.procedures.orthogonality import Maps, Norm, Orthogonality, check_norm, kept_weights, measured

_PROJECTIONS, _OVERSTEP = 30, 1.8
_CHECK_EVERY, _GAIN = 10, 0.01  # a matrix that improves by less than this in so many steps is left
_NOISE = 1e-4  # of a matrix's length
_FINE = 1e-4  # a tolerance below this asks for float64; else float32 gets there in half the time


@torch.no_grad()
def approximate_isometry_(
    model: nn.Module, mask: Mask | None = None, *, norm: Norm = "frobenius", steps: int = 200, tolerance: float = 1e-3
) -> tuple[Orthogonality, Orthogonality]:
    """Orthogonality of the layers of `model` before, and after their kept weights were moved, in place, to raise it.

    mask, norm: as for `orthogonality`. Removed weights are exactly zero afterwards.
    steps: of descent, at most.
    tolerance: a matrix is done when √(score² - floor²) is below tolerance · √(smaller side), so that its singular
        values are off by about tolerance / 2; or when it hardly improves any more.

    Minimised is ‖(C⊙W)^T(C⊙W) - I‖ layer by layer, on the smaller side: on the other one the squared Frobenius norm is
    larger by a constant. 30 projections in turn on the orthogonal matrices and on the mask, each overstepped by 1.8,
    come first, because the objective itself is flat where a singular value is zero: gradient descent leaves such
    values behind (a random 10 % of 100 × 100: 1.38 against 0.0001, the mean of six). At 5 % and less some may be left
    even so: 0.97 against a floor of 0.67. Then "frobenius" goes on with conjugate gradients, whose step is the exact
    minimiser of the quartic along the line, "spectral" with descent of Schatten norms of rising order 4, 8, 16, 32;
    neither ends above where it started. "frobenius" is the better choice, in the spectral norm too: that norm has
    nothing to say of the other directions once one is without support. Layers of equal shape go in one batch.

    Before all that a matrix is brought to the length of an orthogonal one, and its kept entries are shaken by a
    ten-thousandth of it, always alike: a singular value that is exactly zero, as in the first of delta-orthogonal
    convolutions, would stay so.

    Source: thesis equation 4.8 (Lee 2021). Departures: its sum of norms over layers has no terms in common, and each
    norm the minimisers of its square, which is smooth at zero where the norm is not; its 10,000 steps of gradient
    descent at rate 0.1 stop at about 0.2 a layer, going to and fro. A layer whose kept weights are all zero stays zero.
    Frozen parameters stay. Convolutions are read as their flattened kernels, as there.

    Raises ArgumentError for steps or tolerance out of range, and as `orthogonality`. Cost: per step and layer
    3 · out · in · min(out, in) multiply-adds (at 90 % on one core: resnet-110 2 s, VGG-C half a minute), and some ten
    copies of one shape's layers; in float64 where the tolerance is below 1e-4, else in float32 but for eigenvalues
    and sums. On a busy machine set ``torch.set_num_threads(1)``.

    >>> layer = nn.Linear(30, 20)
    >>> keep = torch.rand(20, 30, generator=torch.Generator().manual_seed(0)) < 0.3
    >>> before, after = approximate_isometry_(layer, Mask({"weight": keep}))
    >>> before.score > 3, after.score < 0.01, after.floor, layer.weight[~keep].abs().max().item()
    (True, True, 0.0, 0.0)
    """
    check_norm(norm)
    if steps < 0 or not tolerance > 0:
        raise ArgumentError(f"steps is not negative and tolerance positive: got {steps} and {tolerance}")
    weights = kept_weights(model, mask)
    repaired = _repaired(weights, norm, steps, tolerance)
    repaired = {n: r if r.score(norm) < weights[n].score(norm) else weights[n] for n, r in repaired.items()}
    written = _write_(model, repaired)
    return measured(weights, norm), measured(written, norm)


def _repaired(weights: dict[str, Maps], norm: Norm, steps: int, tolerance: float) -> dict[str, Maps]:
    """The weights after descent, those of one shape together."""
    batches: dict[tuple[int, ...], list[str]] = {}
    for name, maps in weights.items():
        if maps.matrices.numel():
            batches.setdefault(tuple(sorted(maps.matrices.shape[1:])), []).append(name)
    done = dict(weights)
    for names in batches.values():
        batch = [weights[name] for name in names]
        start = torch.cat([maps.matrices.mT if maps.tall else maps.matrices for maps in batch])
        keep = torch.cat([maps.keep.mT if maps.tall else maps.keep for maps in batch])
        floor = start.new_tensor([floor for maps in batch for floor in maps.floors(norm)])
        dtype = torch.float32 if tolerance >= _FINE else start.dtype
        projected = _projected(_generic(start, keep).to(dtype), keep)
        descend = _conjugate_gradients if norm == "frobenius" else _schatten_descent
        ended = descend(projected, keep, steps, floor, tolerance * start.shape[1] ** 0.5).to(start.dtype)
        for name, part in zip(names, torch.split(ended, [len(maps.missing) for maps in batch]), strict=True):
            done[name] = replace(weights[name], matrices=part.mT if weights[name].tall else part)
    return done


def _write_(model: nn.Module, weights: dict[str, Maps]) -> dict[str, Maps]:
    """`weights` put into the model, and as they are there: rounded to the dtype of their parameters."""
    modules = dict(model.named_modules())
    written = {}
    for name, maps in weights.items():
        prefix, _, own = name.rpartition(".")
        module = modules[prefix]
        parameter = module.get_parameter(own)
        value = maps.matrices.to(parameter.dtype)
        written[name] = replace(maps, matrices=value.to(maps.matrices.dtype))
        value = value.reshape(maps.shape)
        if isinstance(module, SparseLayer) and own in module.sparse_weights:
            value = module.gathered(own, value)
        parameter.copy_(value)
    return written


def _generic(g: Tensor, keep: Tensor) -> Tensor:
    """G at the length of an orthogonal matrix, its kept entries shaken a little, matrices of zeros left alone.

    The nearest orthogonal matrix does not depend on length, but rounding does; and descent leaves a singular value
    that is exactly zero where it is, as in the first of delta-orthogonal convolutions.
    """
    lengths = torch.linalg.matrix_norm(g)[:, None, None]
    noise = torch.randn(g.shape[1:], generator=torch.Generator().manual_seed(0), dtype=g.dtype).to(g.device)
    noise = noise * (_NOISE / noise.numel() ** 0.5)
    rank = torch.minimum(keep.any(2).sum(1), keep.any(1).sum(1))  # as far as empty rows and columns tell
    shaken = g / lengths.clamp_min(torch.finfo(g.dtype).tiny) + noise * keep
    return torch.where(lengths > 0, rank.sqrt()[:, None, None] * shaken, 0.0)


def _projected(g: Tensor, keep: Tensor) -> Tensor:
    """G moved by turns to its nearest matrix of orthonormal rows and back to its support."""
    removed, least = ~keep, torch.finfo(g.dtype).eps ** 0.75
    for _ in range(_PROJECTIONS):
        values, vectors = _eigh(g @ g.mT)
        to_polar = (vectors * values.clamp_min(least).rsqrt().unsqueeze(1)) @ vectors.mT
        g = g.lerp((to_polar.to(g.dtype) @ g).masked_fill_(removed, 0.0), _OVERSTEP)
    return g


def _eigh(symmetric: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors in float64: in float32 LAPACK can fail where many are alike, as near isometry."""
    values, vectors = torch.linalg.eigh(symmetric.double())
    return values, vectors


def _off(g: Tensor) -> Tensor:
    """GG^T - I."""
    return g @ g.mT - torch.eye(g.shape[1], dtype=g.dtype, device=g.device)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((1, 2), dtype=torch.float64)


def _conjugate_gradients(start: Tensor, keep: Tensor, steps: int, floor: Tensor, goal: float) -> Tensor:
    """Polak and Ribière's conjugate gradients on ‖GG^T - I‖_F²."""
    result = start.clone()
    left = torch.arange(len(start), device=start.device)
    g = start
    removed = ~keep
    direction, old, old_square = torch.zeros_like(g), torch.zeros_like(g), torch.ones_like(floor)
    rest = torch.full_like(floor, torch.inf)
    for step in range(steps + 1):
        check = step % _CHECK_EVERY == 0 or step == steps
        if check:
            off = _off(g)  # what the steps have added up to has drifted
        square = _dot(off, off)
        if check:
            result[left] = g
            # √(floor² + rest²) is near the floor long before the rest is small
            now = (square - floor[left].square()).clamp_min(0.0).sqrt()
            go_on = (now > goal) & (now < (1 - _GAIN) * rest)
            if step == steps or not bool(go_on.any()):
                break
            rest = now[go_on]
            left, g, removed, off, square = left[go_on], g[go_on], removed[go_on], off[go_on], square[go_on]
            direction, old, old_square = direction[go_on], old[go_on], old_square[go_on]
        gradient = (4 * off @ g).masked_fill_(removed, 0.0)
        beta = (_dot(gradient, gradient - old) / old_square).clamp_min(0.0).to(g.dtype)
        direction = beta[:, None, None] * direction - gradient
        uphill = _dot(direction, gradient) >= 0
        direction[uphill] = -gradient[uphill]
        old, old_square = gradient, _dot(gradient, gradient).clamp_min(1e-300)
        # G + tD: GG^T - I + t(GD^T + DG^T) + t² DD^T, of which the squared norm is a quartic in t
        cross, curve = g @ direction.mT, direction @ direction.mT
        cross = cross + cross.mT
        quartic = [
            square,
            2 * _dot(off, cross),
            _dot(cross, cross) + 2 * _dot(off, curve),
            2 * _dot(cross, curve),
            _dot(curve, curve),
        ]
        length = _lowest(torch.stack(quartic, 1)).to(g.dtype)[:, None, None]
        g = g + length * direction
        off = off + length * cross + length.square() * curve
    return result


def _lowest(quartic: Tensor) -> Tensor:
    """[B]: where, at t ≥ 0, each polynomial Σ quartic[:, i] t^i is smallest."""
    leading = (4 * quartic[:, 4:]).clamp_min(1e-300)
    companion = quartic.new_zeros(len(quartic), 3, 3)
    companion[:, 1, 0] = companion[:, 2, 1] = 1.0
    companion[:, :, 2] = -quartic[:, 1:4] * quartic.new_tensor([1.0, 2.0, 3.0]) / leading
    flat = ~companion.isfinite().all(2).all(1)  # nothing moves any more
    stationary = torch.linalg.eigvals(companion.masked_fill(flat[:, None, None], 0.0)).real.clamp_min(0.0)
    candidates = torch.nn.functional.pad(stationary, (0, 1))  # where nothing lowers it, it stays
    values = (quartic[:, None] * candidates[:, :, None] ** torch.arange(5, device=quartic.device)).sum(2)
    # where it is flat but for rounding, places may be so far that there is no value
    values = values.masked_fill(~values.isfinite(), torch.inf)
    lowest: Tensor = candidates.gather(1, values.argmin(1, keepdim=True)).squeeze(1)
    return lowest


def _schatten_descent(start: Tensor, keep: Tensor, steps: int, floor: Tensor, goal: float) -> Tensor:
    """Descent of (Σ|λ|^p)^(1/p), λ the eigenvalues of GG^T - I; the matrices with the smallest largest |λ|."""
    best, g = start, start
    least = torch.linalg.eigvalsh(_off(start).double()).abs().amax(1)
    for order in (4, 8, 16, 32):
        rate = g.new_full((len(g),), 0.1)
        value, gradient = _schatten(g, keep, order)
        for _ in range(steps // 4):
            tried = g - rate[:, None, None] * gradient
            tried_value, tried_gradient = _schatten(tried, keep, order)
            down = tried_value < value
            rate = torch.where(down, 1.5 * rate, 0.5 * rate)
            value = torch.where(down, tried_value, value)
            g, gradient = (
                torch.where(down[:, None, None], new, now) for new, now in ((tried, g), (tried_gradient, gradient))
            )
        largest = torch.linalg.eigvalsh(_off(g).double()).abs().amax(1)
        best = torch.where((largest < least)[:, None, None], g, best)
        least = torch.minimum(least, largest)
        if bool((least.square() - floor.square() <= goal**2).all()):
            break
    return best


def _schatten(g: Tensor, keep: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """The norm, and its gradient by the kept entries."""
    values, vectors = _eigh(_off(g))
    norm = torch.linalg.vector_norm(values, order, dim=1).clamp_min(1e-300)
    slopes = values.sign() * (values.abs() / norm[:, None]) ** (order - 1)
    slope = 2 * (vectors * slopes.unsqueeze(1)) @ vectors.mT
    return norm, (slope.to(g.dtype) @ g).masked_fill_(~keep, 0.0)
