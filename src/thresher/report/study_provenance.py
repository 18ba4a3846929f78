"""Where a study's runs come from: code, machines, and what they took in time and disk."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from thresher.core.files import size_of
from thresher.experiments.study_run import StudyRun

_MACHINE = ("processor", "cores", "threads", "device", "platform", "python", "torch", "numpy")


@dataclass(frozen=True)
class Provenance:
    """Counts of finished runs by code (hash and version) and by machine, with totals.

    `seconds`: wall time of all finished runs, pruning, training and evaluation. `size`: bytes on disk of the run
    directories that are known. `started`: the first and the last start, ISO 8601, or None.
    """

    codes: tuple[tuple[str, str, int], ...]
    machines: tuple[tuple[dict[str, str], int], ...]
    seconds: float
    size: int
    started: tuple[str, str] | None

    @property
    def mixed(self) -> bool:
        """Whether runs of different code stand side by side."""
        return len(self.codes) > 1


def provenance_of(runs: Sequence[StudyRun]) -> Provenance:
    """The provenance of `runs`. Cost: the size of every file in their directories is asked for."""
    results = [run.result for run in runs if run.result is not None]
    places = [result["environment"] for result in results]
    codes = Counter((str(place.get("code", "unknown")), str(place.get("thresher", "unknown"))) for place in places)
    machines = Counter(tuple(str(place.get(field, "unknown")) for field in _MACHINE) for place in places)
    started = sorted(place["started"] for place in places if "started" in place)
    return Provenance(
        codes=tuple((code, version, count) for (code, version), count in codes.most_common()),
        machines=tuple((dict(zip(_MACHINE, values, strict=True)), n) for values, n in machines.most_common()),
        seconds=sum((result["seconds"] or 0.0) + (result["seconds_pruning"] or 0.0) for result in results),
        size=sum(size_of(run.directory) for run in runs if run.directory is not None),
        started=(started[0], started[-1]) if started else None,
    )
