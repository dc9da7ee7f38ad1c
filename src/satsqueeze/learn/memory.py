"""Keep freed memory in the process, so that large activations do not fault in anew at every step."""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # names and numbers of glibc's malloc.h
_TOP_PAD_BYTES = 256 * 2**20


def keep_freed_memory() -> bool:
    """Tell glibc to reuse freed blocks instead of returning them to the kernel.

    By default every activation of more than 128 KiB is mapped and unmapped, and half of a training step may go into
    page faults. Peak memory does not grow noticeably. The setting lasts for the life of the process.

    Returns:
        True where it was applied; False on systems without glibc, where nothing happens.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, _TOP_PAD_BYTES))
    accepted = [mallopt(option, value) == 1 for option, value in settings]
    return all(accepted)
