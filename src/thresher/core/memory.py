"""What the C library does with memory that is freed."""

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # the numbers of glibc's malloc.h


def keep_freed_memory() -> bool:
    """Have freed memory stay in the process for its next use; whether this C library can be told so.

    A training step on the CPU frees its activations, and the next one needs as much again. glibc gives large pieces
    back to the system as they are freed, so that every step has its pages mapped and zeroed anew, which takes a
    tenth of the step and more. Afterwards the process keeps, until it ends, as much as it ever used at a time, and
    pieces may lie scattered: it is for processes that train, whence the command line calls it and no import does.
    Calling it again changes nothing. Where the C library is not glibc it does nothing and returns False.

    Source: the GNU C Library manual, Malloc Tunable Parameters (mallopt).
    """
    if sys.platform != "linux" or "CS_GNU_LIBC_VERSION" not in os.confstr_names:
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # a threshold for mmap would not do: glibc allows 32 MiB at most
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))
