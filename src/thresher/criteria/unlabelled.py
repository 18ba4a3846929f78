"""Losses that need no labels, for any criterion that reads data: what pruning sees when the answers are withheld."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from thresher.core.batch import Batch, Data, Loss
from thresher.core.errors import ArgumentError
from thresher.core.seeds import generator

_ROWS = 32  # outputs up to which a Jacobian is computed row by row


def uniform(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy to the uniform distribution: -(1/BK) Σ_b Σ_k log p_bk, p = softmax of `outputs` [B, K].

    `targets` are ignored. The best of the label-free losses in thesis Table 4.4.
    Source: Lee, Ajanthan, Gould, Torr (2020), section 5.2 (thesis section 4.5.2, "Unif.").

    >>> round(float(uniform(torch.zeros(3, 4), torch.zeros(3))), 4)
    1.3863
    """
    return -outputs.log_softmax(1).mean()


def prediction_softmax(outputs: Tensor, targets: Tensor) -> Tensor:
    """The entropy of the batch's mean prediction: -Σ_k m_k log m_k with m the mean over the batch of softmax [B, K].

    `targets` are ignored. The authors' released code has no label-free losses, so the reading is ours: "the averaged
    output prediction" is target and prediction in one. The printed errors come out with it (thesis Table 4.4); with
    the mean as a constant target for each example's prediction they are those of true labels, which is not printed.
    Source: Lee, Ajanthan, Gould, Torr (2020), section 5.2 (thesis section 4.5.2, "Pred. (softmax)").

    >>> round(float(prediction_softmax(torch.zeros(3, 4), torch.zeros(3))), 4)
    1.3863
    """
    # in logarithms, so that a class nobody predicts has a gradient
    log_mean = outputs.log_softmax(1).logsumexp(0) - math.log(len(outputs))
    return -(log_mean.exp() * log_mean).sum()


def prediction_raw(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy of softmax(`outputs`) [B, K] to the batch's mean raw output, held constant.

    `targets` are ignored. The mean of raw outputs is no distribution: the loss may be negative, and its gradient by
    the outputs is softmax · Σt - t with t that mean. The reading is ours; the entropy of softmax(mean raw output), the
    counterpart of `prediction_softmax`, leads to the same errors.
    Source: Lee, Ajanthan, Gould, Torr (2020), section 5.2 (thesis section 4.5.2, "Pred. (raw)").

    >>> round(float(prediction_raw(torch.ones(3, 4), torch.zeros(3))), 4)
    5.5452
    """
    return -(outputs.mean(0).detach() * outputs.log_softmax(1)).sum(1).mean()


@dataclass(frozen=True)
class JacobianNorm:
    """The mean over examples of the norm of J = ∂ outputs / ∂ inputs: (outputs, inputs) → one number.

    order: 1 is Σ |J_ki|; 2 is Σ J_ki², the squared Frobenius norm.
    seed: of the random signs v where there are more than 32 outputs; then order 2 is estimated by ‖Jᵀv‖², whose mean
        over v it is (Hutchinson). Fresh signs for every batch size and seed, the same in every call.

    Its second argument is the inputs themselves, which `without_labels` puts in the place of the targets:
    ``SNIP(JacobianNorm()).scores(model, weights, without_labels(data))``.
    Raises ArgumentError where the second argument is no such thing, and for order 1 with more than 32 outputs.
    Cost: a backward pass for each output (or one), each differentiated once more.
    Source: Lee, Ajanthan, Gould, Torr (2020), section 5.2 (thesis section 4.5.2: ‖J‖₁, ‖J‖₂), where neither the norm
    nor its power is spelled out; entrywise sums are our reading.

    >>> x = torch.ones(2, 3, requires_grad=True)
    >>> float(JacobianNorm()(x @ torch.eye(3), x).detach())
    3.0
    """

    order: Literal[1, 2] = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise ArgumentError(f"order of JacobianNorm is 1 or 2: got {self.order!r}")

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean norm; see the class."""
        if not targets.requires_grad or len(targets) != len(outputs):
            raise ArgumentError(
                "JacobianNorm differentiates by the inputs and wants them as targets: pass data=without_labels(batches)"
            )
        flat = outputs.flatten(1)
        if flat.shape[1] > _ROWS:
            if self.order == 1:
                raise ArgumentError(f"‖J‖₁ is computed for up to {_ROWS} outputs: got {flat.shape[1]}; use order=2")
            draws = torch.randint(2, flat.shape, generator=generator(self.seed, "jacobian-norm"))
            vectors = (2 * draws - 1).to(flat).unsqueeze(0)
        else:
            vectors = (
                torch.eye(flat.shape[1], dtype=flat.dtype, device=flat.device).unsqueeze(1).expand(-1, *flat.shape)
            )
        total = outputs.new_zeros(())
        for vector in vectors:
            (row,) = torch.autograd.grad(flat, targets, vector, create_graph=True, materialize_grads=True)
            total = total + (row.abs() if self.order == 1 else row.square()).sum()
        return total / len(outputs)


def without_labels(data: Data) -> Data:
    """The batches of `data` with the inputs, to differentiate by, in the place of the targets.

    It can be read as often as `data`. Source and indices go along, so that whoever reads reports what it read. What is
    no pair of tensors comes through as it is, for the reader to refuse. Raises ArgumentError, when it is read, for
    inputs of integers, by which nothing can be differentiated.

    >>> ((inputs, targets),) = without_labels([(torch.ones(2, 3), torch.zeros(2))])
    >>> targets.shape, targets.requires_grad
    (torch.Size([2, 3]), True)
    """
    return _InputsAsTargets(data)


class _InputsAsTargets:
    def __init__(self, data: Data) -> None:
        self._data = data

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for item in self._data:
            inputs = item[0] if isinstance(item, tuple | list) and item else None
            if not isinstance(inputs, Tensor):
                yield item
                continue
            if not inputs.is_floating_point():
                raise ArgumentError(f"inputs of {inputs.dtype} have no derivative: a Jacobian needs floating point")
            with torch.inference_mode(False), torch.enable_grad():
                leaf = inputs.detach().clone().requires_grad_()
                copy = leaf.clone()  # goes in: the first layer may work in place
            if isinstance(item, Batch):
                yield Batch(copy, leaf, item.source, item.indices)
            else:
                yield copy, leaf


UNLABELLED: dict[str, Loss] = {
    "uniform": uniform,
    "prediction-raw": prediction_raw,
    "prediction-softmax": prediction_softmax,
}
