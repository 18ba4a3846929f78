"""What went wrong, what was expected, and what to do next."""

import difflib
from collections.abc import Iterable

_LONGEST_LIST, _NUM_NEAREST = 600, 5  # letters of known names that are all listed; names that are, where it is longer


class ThresherError(Exception):
    """Base of every error this package raises on purpose; the command line prints it in one line."""


class ArgumentError(ThresherError, ValueError):
    """An argument outside what is allowed; the message names it, the value that came, and the range."""


class UnknownNameError(ArgumentError):
    """A name that is in no table; the message gives the near miss and the names that are."""


class NothingToPruneError(ThresherError):
    """The model holds no parameter of a kind that can be pruned."""


class MaskMismatchError(ThresherError):
    """A mask and a model (or two masks) that differ in names or shapes; the message lists them."""


class CollapseError(ThresherError):
    """A mask leaves no input-to-output path through some layer, and the caller asked to be stopped."""


class DataError(ThresherError):
    """Data that is absent, truncated, corrupted, or not what its format says."""


class FileFormatError(ThresherError):
    """A mask or checkpoint file that is cut short, foreign, or written by another recipe."""


class RunDirectoryError(ThresherError):
    """A run directory that is in use, not writable, or holds another run."""


class RunInUseError(RunDirectoryError):
    """A run directory that another process is working in."""


class StoreError(ThresherError):
    """A store of runs, or the queue beside it, that is absent, foreign, newer than this version, or out of reach."""


class MixedCodeError(StoreError):
    """A study that another version of the code began; the message is that fact, and then what to do about it."""

    def __init__(self, study: str, permission: str) -> None:
        super().__init__(
            f"the study '{study}' was begun by another version of the code: go on with that one, give the study "
            f"another name, or allow both with {permission} (results then name their version)"
        )
        self.study = study


class NonFiniteError(ThresherError):
    """A loss, score or weight that is NaN or infinite; the message says where it was first seen."""


class MissingExtraError(ThresherError):
    """An optional dependency is absent; the message names the extra that brings it."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the '{extra}' extra: pip install 'thresher[{extra}]'")


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that is in no table, with the nearest name suggested.

    Where the known names are too many to read, only those nearest to `name` are listed and the rest counted.

    >>> print(unknown_name("method", "snpi", ["random", "snip"]))
    unknown method 'snpi': did you mean 'snip'? Known: random, snip
    >>> print(unknown_name("method", "xyz", ["random", "snip"]))
    unknown method 'xyz'. Known: random, snip
    """
    names = list(known)
    if not names:
        return UnknownNameError(f"unknown {kind} '{name}': there are none")
    lowered = {known_name.lower(): known_name for known_name in names}
    # what was begun and not finished is likelier meant than what merely looks alike
    begun = [low for low in lowered if name and low.startswith(name.lower())]
    near = begun or difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    hint = f": did you mean '{lowered[near[0]]}'?" if near else "."
    listed = ", ".join(names)
    if len(listed) > _LONGEST_LIST:
        nearest = difflib.get_close_matches(name.lower(), lowered, n=_NUM_NEAREST, cutoff=0.0)
        listed = f"{', '.join(lowered[low] for low in nearest)} and {len(names) - len(nearest)} more"
    return UnknownNameError(f"unknown {kind} '{name}'{hint} Known: {listed}")
