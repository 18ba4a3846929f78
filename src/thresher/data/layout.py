"""How published files lie in folders and archives, and the search for them."""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from thresher.core.errors import DataError
from thresher.data.content import Arrays, Content, read_archive, read_content


def _nothing(contents: Mapping[str, Content]) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class Layout:
    """One way in which a data set is published.

    Args:
        names: the files, all of them needed; each may also lie there gzipped, with '.gz' behind its name.
        folders: where to look, below the data folder, in this order; '.' is the data folder itself.
        read: the train and the test arrays, from the contents by name.
        archive: name of the tar or zip archive that holds the files, looked for in the same folders; '' if none.
        inside: the folder within the archive.
        further: names of more files, which follow from the contents of `names`: for a data set of a file an example.
        others: names of folders that hold another data set in files of the same names: a data folder so called
            is not searched itself.
    """

    names: tuple[str, ...]
    folders: tuple[str, ...]
    read: Callable[[Mapping[str, Content]], tuple[Arrays, Arrays]]
    archive: str = ""
    inside: str = ""
    further: Callable[[Mapping[str, Content]], Collection[str]] = _nothing
    others: tuple[str, ...] = ()

    def find(self, root: Path) -> dict[str, Content] | None:
        """Contents by name, from the first folder below `root` that has `names`, or the archive; else None.

        Raises DataError if what is found is damaged, cannot be read, or lacks one of the further files.
        """
        try:
            read = self._reader(root)
            if read is None:
                return None
            contents = read(self.names)
            further = self.further(contents)
            return contents | read(further) if further else contents
        except OSError as error:
            raise DataError(f"cannot look for data in {root}: {error.strerror or error}") from error

    def _reader(self, root: Path) -> Callable[[Collection[str]], dict[str, Content]] | None:
        """What reads files by name from the place where they are, if they are in one."""
        folders = self.searched(root)
        if root.exists() and not root.is_dir():
            raise DataError(f"data_dir is a folder: {root} is a file")
        for folder in folders:
            if all(_plain_or_gzipped(folder, name) for name in self.names):
                return partial(_read_folder, folder)
        archives = [folder / self.archive for folder in folders if self.archive]
        archive = next((path for path in archives if path.is_file()), None)
        return None if archive is None else partial(_read_inside, archive, self.inside)

    def searched(self, root: Path) -> list[Path]:
        """The folders that are looked in."""
        return [root / folder for folder in self.folders if folder != "." or not self.is_other(root)]

    def is_other(self, root: Path) -> bool:
        """Whether `root` is named for another data set in files of the same names."""
        absolute = Path(os.path.abspath(root))  # '.' has no name
        own = absolute.parent if absolute.name == "raw" else absolute  # torchvision keeps files in MNIST/raw
        return _plain(own.name) in self.others

    def describe(self, root: Path) -> str:
        """What is looked for where, and what stands in the way, for a message."""
        folders = self.searched(root)
        text = ", ".join(self.names) + (f", or {self.archive}," if self.archive else "")
        text += f" in {', '.join(map(str, folders))}"
        if self.is_other(root):
            text += f" (not in {root} itself, which is named for another data set)"
        for folder in folders:
            absent = [name for name in self.names if _plain_or_gzipped(folder, name) is None]
            if len(absent) < len(self.names):
                text += f" ({folder} lacks only {', '.join(absent)})"
        return text


def _read_folder(folder: Path, names: Collection[str]) -> dict[str, Content]:
    return {name: read_content(_plain_or_gzipped(folder, name) or folder / name) for name in names}


def _read_inside(archive: Path, inside: str, names: Collection[str]) -> dict[str, Content]:
    members = {f"{inside}/{name}": name for name in names}
    return {members[member]: content for member, content in read_archive(archive, members).items()}


def _plain_or_gzipped(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
