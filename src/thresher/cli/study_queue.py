"""The queue of a study as the commands open it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from thresher.core.errors import MissingExtraError, MixedCodeError
from thresher.experiments.queue import Queue


def study_queue(address: str | Path, study: str, say: Callable[[str], None], **settings: Any) -> Queue:
    """The `Queue` of `study` at `address`, with `settings` as there; its refusals name options, not arguments.

    Raises MissingExtraError without Optuna (extra 'compare'), and what `Queue` raises.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise MissingExtraError("a queue of runs", "compare") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # or it tells of every study that it opens
    try:
        return Queue(address, study, say=say, **settings)
    except MixedCodeError as error:
        raise MixedCodeError(error.study, "--allow-mixed-code") from None
