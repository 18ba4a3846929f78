"""What a diagnosis means, in sentences that a reader can hold against the numbers."""

import math
from collections.abc import Mapping
from typing import Any

from thresher.report.numbers import count, share

_WHOLE, _HARDLY = 0.5, 0.05  # of the reference's mean singular value
_SPREAD = "condition_number"
_INSTEAD = "For that prune to a lower sparsity, spread it otherwise (--allocation), or take another method."


def number(value: float | None) -> str:
    """Three significant digits, thousands apart; ∞ for None, which stands for a ratio without end.

    >>> number(0.0020032), number(14.128), number(2999.8), number(None), number(2.5e-7), number(0.0)
    ('0.00200', '14.1', '3,000', '∞', '2.50e-07', '0')
    """
    if value is None:
        return "∞"
    if value == 0:
        return "0"
    if abs(value) < 1e-3 or abs(value) >= 1e6:
        return f"{value:.2e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def headline(report: Mapping[str, Any]) -> str:
    """One sentence: whether what is read gets through to the answer, against the same weights unpruned, or against 1.

    At least half as strong counts as getting through, a twentieth or less as hardly.
    """
    if report["disconnected"]:
        return "Nothing gets through: no path of kept weights joins the input with the answer, so it cannot learn"
    mean, against = report["jacobian_singular_mean"], _reference(report)
    ratio = mean / against if against else 0.0
    word = (
        "The signal gets through"
        if ratio >= _WHOLE
        else "The signal hardly gets through"
        if ratio <= _HARDLY
        else "The signal gets through weakened"
    )
    dense = report["dense"]
    beside = f"{number(against)} times in the same network unpruned" if dense else "1 time where lengths are kept"
    said = f"{word}: a small change of the input reaches the answer {number(mean)} times as large on average, {beside}"
    return f"{said}; but batch normalization has seen no batch" if report["unsettled_normalization"] else said


def _caution(report: Mapping[str, Any]) -> list[str]:
    if not report["unsettled_normalization"]:
        return []
    return [
        "Batch normalization has seen no batch: in evaluation mode it does not normalize here, in training it rescales "
        "every layer, so these sizes and ratios are not those of training."
    ]


def _reference(report: Mapping[str, Any]) -> float:
    return float(report["dense"]["jacobian_singular_mean"]) if report["dense"] else 1.0


def where_lost(report: Mapping[str, Any]) -> list[str]:
    """Sentences on which layer weakens the signal most, and which directions do not get through at all."""
    rows = [row for row in _layers(report) if row["jacobian"]]
    said = _caution(report)
    if rows:
        worst = min(rows, key=lambda row: row["jacobian"]["mean"])
        said.append(
            f"Most is lost in {worst['name']}: on average over all directions it passes a small change on "
            f"{number(worst['jacobian']['mean'])} times as large (1 is isometry, about half of that where ReLU shuts "
            "half of the units)."
        )
    if report["jacobian_singular_min"] == 0 and not report["disconnected"]:
        said.append(
            "For some examples the answer cannot be moved in every direction by any change of the input (the smallest "
            "singular value is 0), so some classes cannot be told apart there by what is read."
        )
    elif report["condition_number"] is not None and report["condition_number"] > 1e6:
        said.append(
            f"The strongest direction is passed on {number(report['condition_number'])} times as much as the weakest: "
            "gradients of such spread make scores and steps unreliable."
        )
    return said


def starved(report: Mapping[str, Any]) -> list[str]:
    """Sentences on empty and starved layers, and on whether the kept weights hang together."""
    rows = _layers(report)
    said = []
    for state, one, many in (
        ("empty", "keeps nothing at all", "keep nothing at all"),
        ("dead", "keeps weights, none of which has an effect", "keep weights, none of which has an effect"),
        ("starved", "has most of its units cut off", "have most of their units cut off"),
    ):
        names = [row["name"] for row in rows if status(row) == state]
        if names:
            layers = f"1 layer {one}" if len(names) == 1 else f"{len(names)} layers {many}"
            said.append(f"{layers}: {', '.join(names)}.")
    if not said:
        said.append("No layer is empty, and none has most of its units cut off.")
    if lost := 0 if report["disconnected"] else report["answers_cut_off"]:
        which = "answer is cut off: it" if lost == 1 else "answers are cut off: they"
        said.append(f"{count(lost)} {which} cannot depend on what is read.")
    kept, effective = report["kept"], sum(row["effective"] for row in report["layers"])
    if not kept:
        return said
    if 1 - effective / kept > 0.25:
        idle = f"{count(kept - effective)} of {count(kept)} ({share(1 - effective / kept)})"
        works, nominal = share(report["effective_sparsity"]), share(report["sparsity"])
        said.append(
            f"The kept weights are scattered: {idle} lead into units that nothing reads or out of units that nothing "
            f"reaches. They use up the budget, and the network works with a sparsity of {works} in place of {nominal}."
        )
    else:
        said.append(
            f"The kept weights hang together: {count(effective)} of {count(kept)} ({share(effective / kept)}) lie on "
            "paths from the input to the answer."
        )
    return said


def slowdown(report: Mapping[str, Any]) -> list[str]:
    """Sentences on the first step of training, dense against pruned, and on what that does not say."""
    here = report["first_order_decrease"]
    if report["disconnected"]:
        return [
            "No kept path leads from the input to the answer: by way of biases alone, training can at most find the "
            "one answer that suits all inputs best."
        ]
    if here is None:
        return [
            "How much slower training starts is not measured: that takes a loss, and there are no labels. --data or "
            "--batches bring them."
        ]
    if not report["dense"]:
        why = (
            "Nothing is removed: this is the dense network."
            if report["kept"] == report["prunable"]
            else "The removed weights' values are not known here, so there is no dense network to hold it against."
        )
        said = [f"The squared gradient over the weights that can be trained is {number(here)}. {why}"]
    elif not here:
        said = ["The gradient is zero: gradient descent does not move at all."]
    else:
        there = report["dense"]["first_order_decrease"]
        ratio = there / here
        compared = (
            f"{number(ratio)} times less than in the dense network"
            if ratio >= 1
            else f"{number(1 / ratio)} times more than in the dense network"
        )
        said = [
            f"At one learning rate, the first small step of gradient descent lowers the loss {compared} (squared "
            f"gradient over the weights that can be trained: {number(here)} against {number(there)})."
        ]
    return [
        *said,
        *_caution(report),
        "That is derived from the gradient at the start. It is no forecast of training time: later steps, momentum, "
        "normalization and a larger learning rate all change it.",
    ]


def repair(report: Mapping[str, Any]) -> list[str]:
    """Sentences on what moving the kept weights changes, and what it cannot."""
    after = report["repaired"]
    if report["disconnected"]:
        return [f"Repair moves kept weights and makes no path, so it cannot help here. {_INSTEAD}"]
    if after is None:
        return ["The kept weights can be moved towards isometry without data, the mask unchanged: --repair does it."]
    before, now = report["jacobian_singular_mean"], after["jacobian_singular_mean"]
    said = [
        f"Moving the kept weights, the mask unchanged and without data, brings the mean orthogonality score from "
        f"{number(report['orthogonality_score'])} to {number(after['orthogonality_score'])}; with this mask none gets "
        f"below {number(report['orthogonality_floor'])}.",
        f"A small change of the input then reaches the answer {number(now)} times as large; {number(before)} before.",
    ]
    spread, spread_before = (math.inf if c is None else c for c in (after[_SPREAD], report[_SPREAD]))
    if spread > 1.01 * spread_before:
        said.append(
            f"The condition number gets worse: {number(after[_SPREAD])}, {number(report[_SPREAD])} before. Some "
            "directions gain more than others."
        )
    if report["first_order_decrease"]:
        step = after["first_order_decrease"]
        gain = step / report["first_order_decrease"]
        much = "as much" if gain >= 1 else "as much, which is less than before"
        times = f"The first small step lowers the loss {number(gain)} times {much}"
        there = report["dense"]["first_order_decrease"] if report["dense"] else 0.0
        said.append(f"{times}, {number(step / there)} times as much as in the dense network." if there else f"{times}.")
    cut = sum(row["units"] - row["live_units"] for row in _layers(report))
    if cut:
        said.append(f"It mends no mask: {_units(cut)} cut off {'stays' if cut == 1 else 'stay'} so. {_INSTEAD}")
    return said


def status(row: Mapping[str, Any]) -> str:
    """One word for a layer: empty, dead (no unit on a path), starved (less than half of the units on one), or works."""
    if row["total"] and not row["kept"]:
        return "empty"
    if row["units"] and not row["effective"]:
        return "dead"
    return "starved" if row["live_units"] < row["units"] / 2 else "works"


def _layers(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(report["layers"])


def _units(number_of: int) -> str:
    return f"the {count(number_of)} units" if number_of > 1 else "the unit"
