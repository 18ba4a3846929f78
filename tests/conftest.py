"""What every test may use: the real data, and property tests that draw the same examples on every machine."""

import os
import tempfile
from pathlib import Path

# before torch is imported, and for the processes that tests start: their networks are so small that a second thread
# only waits for the first, for minutes where the machine is busy with something else
os.environ.setdefault("OMP_NUM_THREADS", "1")
# what a busy machine measures of its layers is not for its user to keep
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="thresher-tests-")

import pytest
from hypothesis import settings

# derandomized: a red run elsewhere is red here too. No deadline: a slow machine is not a wrong result.
settings.register_profile("thresher", deadline=None, derandomize=True)
settings.load_profile("thresher")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with the real data sets; without it the tests that ask for it are skipped."""
    path = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"the real data sets are not here: no folder {path}")
    return path
