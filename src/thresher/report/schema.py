"""The fields a finished run's files must have, checked before a page is made of them."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from thresher.core.errors import FileFormatError

_Fields: TypeAlias = Mapping[str, tuple[type, ...]]

# null stands wherever a run may have had nothing to measure
_NUMBER: tuple[type, ...] = (int, float, type(None))
_FRACTION: tuple[type, ...] = (int, float)

RECIPE: _Fields = {"data": (str,), "model": (str,)}
METRICS_ROW: _Fields = {
    "step": (int,),
    "epoch": (int, float),
    "train_loss": _NUMBER,
    "train_error_pct": _NUMBER,
    "validation_loss": _NUMBER,
    "validation_error_pct": _NUMBER,
    "test_loss": _NUMBER,
    "test_error_pct": _NUMBER,
}
_RESULT: _Fields = {
    "run": (str,),
    "recipe_hash": (str,),
    "sparsity": _FRACTION,
    "kept": (int,),
    "prunable": (int,),
    "parameters": (int,),
    "engine": (str,),
    "steps": (int,),
    "epochs": (int, float),
    "test_error_final_pct": _NUMBER,
    "test_error_best_pct": _NUMBER,
    "test_error_best_step": _NUMBER,
    "test_error_at_best_validation_pct": _NUMBER,
    "validation_error_best_pct": _NUMBER,
    "validation_error_best_step": _NUMBER,
    "validation_error_final_pct": _NUMBER,
    "seconds": _NUMBER,
    "seconds_pruning": _NUMBER,
    "seconds_per_step": _NUMBER,
    "examples_per_second": _NUMBER,
    "layers": (list,),
    "cost": (dict,),
    "collapse": (dict,),
    "first_layer": (dict, type(None)),
    "touches": (list,),
    "environment": (dict,),
    "not_measured": (list,),
}
_LAYER: _Fields = {
    "name": (str,),
    "shape": (list,),
    "total": (int,),
    "kept": (int,),
    "sparsity": _FRACTION,
    "dense_macs": (int,),
    "kept_macs": (int,),
}
_COST: _Fields = {
    "parameters": (int,),
    "kept_parameters": (int,),
    "compression_ratio": _NUMBER,
    "dense_macs": (int,),
    "kept_macs": (int,),
    "theoretical_speedup": _NUMBER,
    "unweighted_macs": (int,),
}
_COLLAPSE: _Fields = {
    "collapsed_layers": (list,),
    "units_without_input": (dict,),
    "units_without_output": (dict,),
    "effective_kept": (int,),
    "effective_sparsity": _FRACTION,
}
_TOUCH: _Fields = {"dataset": (str,), "purpose": (str,), "count": (int,), "times": (int,)}


def require(entry: object, fields: _Fields, where: str) -> None:
    """Raise FileFormatError unless `entry`, found at `where`, is an object with every field of an allowed type.

    NaN and infinities are numbers. Other fields than `fields` are none of its business.

    >>> require({"data": "mnist"}, RECIPE, "recipe.json")
    Traceback (most recent call last):
    ...
    thresher.core.errors.FileFormatError: recipe.json has no field 'model': it is cut short or of another version
    """
    if not isinstance(entry, dict):
        raise FileFormatError(f"{where} is {entry!r:.60}, expected a JSON object")
    for name, kinds in fields.items():
        if name not in entry:
            raise FileFormatError(f"{where} has no field '{name}': it is cut short or of another version")
        if not isinstance(entry[name], kinds) or isinstance(entry[name], bool):
            expected = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise FileFormatError(f"{where}: '{name}' is {entry[name]!r:.60}, expected {expected}")


def check_result(result: Mapping[str, Any], where: str) -> None:
    """Raise FileFormatError unless `result`, read from `where`, is whole, down to its layers and touches."""
    require(result, _RESULT, where)
    if "sparse_layers" in result:  # results of the first version do not have it
        require(result, {"sparse_layers": (list,)}, where)
    require(result["cost"], _COST, f"{where}, cost")
    require(result["collapse"], _COLLAPSE, f"{where}, collapse")
    for field in ("units_without_input", "units_without_output"):
        units = result["collapse"][field]
        require(units, dict.fromkeys(units, (int,)), f"{where}, collapse, {field}")
    for index, layer in enumerate(result["layers"]):
        require(layer, _LAYER, f"{where}, layers[{index}]")
        _require_counts(layer["shape"], f"{where}, layers[{index}], shape")
    for index, touch in enumerate(result["touches"]):
        require(touch, _TOUCH, f"{where}, touches[{index}]")
    if result["first_layer"] is not None:
        require(result["first_layer"], {"name": (str,), "input_shape": (list,)}, f"{where}, first_layer")
        _require_counts(result["first_layer"]["input_shape"], f"{where}, first_layer, input_shape")


def _require_counts(values: list[object], where: str) -> None:
    if not all(isinstance(value, int) and value >= 0 for value in values):
        raise FileFormatError(f"{where} is {values!r:.60}, expected a list of counts")
