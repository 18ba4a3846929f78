"""What a TorchFunctionMode needs to read the calls it sees: plain names, operands in order, weights behind views."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

TorchFunction = Callable[..., Any]

_CONVOLUTIONS = [f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)]

# operands in positional order, so that keyword and positional calls read alike; a bias comes last
OPERANDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(["linear", *_CONVOLUTIONS], ("input", "weight", "bias")),
    "bilinear": ("input1", "input2", "weight", "bias"),
    "matmul": ("input", "other"),
    "rmatmul": ("input", "other"),
    "mm": ("input", "mat2"),
    "bmm": ("input", "mat2"),
    "mv": ("input", "vec"),
    "dot": ("input", "tensor"),
    "inner": ("input", "other"),
    "tensordot": ("a", "b"),
    "addmm": ("input", "mat1", "mat2"),
    "addmv": ("input", "mat", "vec"),
    "baddbmm": ("input", "batch1", "batch2"),
    "addbmm": ("input", "batch1", "batch2"),
}


def plain_name(function: TorchFunction) -> str:
    """The name of what `function` computes, whichever of its spellings was called: ``__rsub__``, ``add_``.

    A property's getter has the property's name with a leading dot.

    >>> import torch
    >>> plain_name(torch.Tensor.add_), plain_name(torch.add), plain_name(torch.Tensor.T.__get__)
    ('add', 'add', '.T')
    """
    if function.__name__ == "__get__":
        return f".{function.__self__.__name__}"  # type: ignore[attr-defined]
    return function.__name__.strip("_")


def changes_in_place(function: TorchFunction) -> bool:
    """Whether `function` writes its result into its first argument."""
    name = function.__name__
    if name.startswith("__"):
        return name in ("__setitem__", "__iadd__", "__isub__", "__imul__", "__idiv__")
    return name.endswith("_")


def ordered(names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments called `names`, in that order (None where not given), and what is left by keyword.

    Positional arguments beyond `names` follow them.
    """
    rest = dict(kwargs)
    found = list(args)
    found += [rest.pop(name, None) for name in names[len(args) :]]
    return found, rest


def map_tensors(change: Callable[[Tensor], Any], value: Any) -> Any:
    """`value` with `change` applied to every tensor in its tuples, lists and dicts; other values as they are."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: map_tensors(change, item) for key, item in value.items()}
    if isinstance(value, tuple | list) and any(isinstance(item, Tensor | tuple | list) for item in value):
        return type(value)([map_tensors(change, item) for item in value])  # torch's named tuples take a list too
    return value


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Every tensor in `value`'s tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))


def origin(tensor: Tensor) -> Tensor:
    """The tensor that `tensor` is a view of, or itself: a transposed or sliced weight is still that weight."""
    base = tensor._base
    return tensor if base is None else base
