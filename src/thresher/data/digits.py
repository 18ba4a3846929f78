"""The 8 × 8 digits that come with the package: enough for an example, no download."""

import io
from collections.abc import Mapping

import numpy as np

from thresher.data.content import Arrays, Content
from thresher.data.layout import Layout
from thresher.data.source import Source

_FILE = "digits.npz"
_TEST_EXAMPLES = 360


def _read(contents: Mapping[str, Content]) -> tuple[Arrays, Arrays]:
    """The first 1,437 examples for training and the last 360 for the test, in the published order."""
    with np.load(io.BytesIO(contents[_FILE].data), allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"].astype(np.int64)
    cut = len(images) - _TEST_EXAMPLES
    return (images[:cut], labels[:cut]), (images[cut:], labels[cut:])


DIGITS = Source(
    # the "test" part of the published set, 1,797 bitmaps reduced to 8 × 8 counts from 0 to 16, in its order,
    # as scikit-learn ships it; published under CC BY 4.0
    citation=(
        "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, "
        "UCI Machine Learning Repository (1998), doi:10.24432/C50P49"
    ),
    num_classes=10,
    layouts=(Layout(names=(_FILE,), folders=(".",), read=_read),),
    embedded=True,
)
