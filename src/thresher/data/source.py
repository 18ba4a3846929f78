"""A published data set: its citation, its layouts on disk, and where to get it."""

from dataclasses import dataclass
from pathlib import Path

from thresher.core.errors import DataError
from thresher.data.content import Arrays
from thresher.data.download import Remote, download
from thresher.data.layout import Layout


@dataclass(frozen=True)
class Source:
    """What is known about a data set before any file is opened.

    Args:
        citation: who published it, and where.
        num_classes: number of classes; None if it is one more than the largest label.
        layouts: the forms it may lie in, the preferred one first.
        remote: where it is fetched from; None if from nowhere.
        embedded: whether it is part of this package, so that no folder is searched.
    """

    citation: str
    num_classes: int | None
    layouts: tuple[Layout, ...]
    remote: Remote | None = None
    embedded: bool = False

    def read(self, name: str, root: Path, fetch: bool, mirror: str | None = None) -> tuple[Arrays, Arrays]:
        """The train and the test arrays, found in `root` or, if `fetch`, fetched into `root`/`name`.

        Raises DataError if the files are absent, with their names, the folders searched and where to get them,
        or if they are damaged.
        """
        if self.embedded:
            root = Path(__file__).parent
        arrays = self._read_local(root)
        if arrays is None and fetch and self.remote is not None:
            try:
                download(self.remote, root / name, mirror)
            except DataError as error:
                raise DataError(f"{error}; {self._absent(name, root)}") from error
            arrays = self._read_local(root)
        if arrays is None:
            raise DataError(self._absent(name, root))
        return arrays

    def _read_local(self, root: Path) -> tuple[Arrays, Arrays] | None:
        for layout in self.layouts:
            contents = layout.find(root)
            if contents is not None:
                return layout.read(contents)
        return None

    def _absent(self, name: str, root: Path) -> str:
        ways = "; for ".join(layout.describe(root) for layout in self.layouts)
        place = f"get {', '.join(self.remote.md5)} from {self.remote.base_url}, " if self.remote else ""
        return (
            f"{name} is not in {root}: looked for {ways}; {place}"
            f"put them in {root / name} or name their folder by data_dir or THRESHER_DATA"
        )
