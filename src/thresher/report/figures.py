"""All figures of a run, or, where one cannot be drawn, the line that says why."""

from dataclasses import dataclass

from thresher.core.errors import MissingExtraError
from thresher.report.record import Record

KEYS = ("error", "loss", "sparsity", "macs", "first_layer")


@dataclass(frozen=True)
class Drawing:
    """An ``<svg>`` element and its caption, or no element and the reason."""

    svg: str | None
    words: str


def draw_figures(record: Record) -> dict[str, Drawing]:
    """Key (one of `KEYS`) → drawing; without matplotlib each is the line that names the extra to install."""
    try:
        from thresher.report import curves, layer_figures
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        return dict.fromkeys(KEYS, Drawing(None, str(MissingExtraError("this figure", "report"))))
    rows, result, layers = record.rows, record.result, record.result["layers"]
    some = "" if len(layers) <= layer_figures.ALL_NAMED else " Some layers are named; the table above names all."
    nothing = "No layer's weights were under a mask."
    return {
        "error": _drawing(
            curves.error_curve(rows, result),
            "Error at each evaluation." + _choices(len(rows), result["validation_error_best_step"] is not None),
            "No finite error was recorded.",
        ),
        "loss": _drawing(
            curves.loss_curve(rows),
            "Mean loss at each evaluation; that of the training set is the mean since the evaluation before.",
            "No finite loss was recorded.",
        ),
        "sparsity": _drawing(
            layer_figures.sparsity_bars(layers, result["sparsity"]),
            "Sparsity of each layer and, dashed, of all together." + some,
            nothing,
        ),
        "macs": _drawing(
            layer_figures.mac_pairs(layers),
            "Multiply-adds of each layer before and after, for one example, on a logarithmic scale: the longer the "
            "line, the larger the theoretical speedup." + some,
            nothing,
        ),
        "first_layer": _first_layer(record),
    }


def _choices(num_evaluations: int, validated: bool) -> str:
    if num_evaluations == 1:
        return ""  # there was nothing to choose, and the chart rings nothing
    return " Ring: lowest test error, chosen on the test set." + (
        " Diamond: lowest validation error, chosen without it." if validated else " No validation set was held out."
    )


def _drawing(svg: str | None, caption: str, reason: str) -> Drawing:
    return Drawing(None, reason) if svg is None else Drawing(svg, caption)


def _first_layer(record: Record) -> Drawing:
    from thresher.report.first_layer import first_layer_map

    first = record.result["first_layer"]
    if first is None:
        return Drawing(None, "The run names no first layer.")
    name = first["name"]
    if name not in record.mask:
        return Drawing(None, f"{name} is not under the mask: all of its connections are kept.")
    if bool(record.mask[name].all()):
        return Drawing(None, f"Nothing of {name} was removed: every input has all of its connections.")
    drawn = first_layer_map(record.mask[name], first["input_shape"])
    if drawn is None:
        shape = " × ".join(map(str, record.mask[name].shape))
        inputs = " × ".join(map(str, first["input_shape"]))
        return Drawing(None, f"{name} ({shape}) reads inputs of shape {inputs}, which make no image.")
    return Drawing(*drawn)
