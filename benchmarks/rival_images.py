"""What every rival is given and has to give, in its own environment, where satsqueeze is not installed.

An image is a ``.npy`` of float32 (H, W, C) top-of-atmosphere reflectance, 0 where there is no data. A mask is a
``.npy`` of bool (H, W), true = cloud, kept under the image's name with ``--masks``. One line of JSON per image:
seconds from the array to the mask, loading library and model included, reading and writing left out; peak memory of the
process.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MaskOf = Callable[[NDArray[np.float32], list[str]], NDArray[np.bool_]]
"""From an image (H, W, C) and the common names of its channels to true = cloud (H, W)."""


def command_line(text: str) -> argparse.ArgumentParser:
    """The options that all rivals have."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--bands", default="blue,green,red,nir", help="common names in the order of the channels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--masks", type=Path, help="folder to keep the masks in")
    return parser


def time_masks(options: argparse.Namespace, distribution: str, mask_of: MaskOf) -> None:
    """Time ``mask_of`` on every image, and print what was found.

    Args:
        options: of :func:`command_line`.
        distribution: whose version goes with the figures.
        mask_of: imports the rival itself: OpenMP must know the number of threads before.
    """
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    for path in options.images:
        image = np.load(path)
        started = time.perf_counter()
        mask = mask_of(image, options.bands.split(","))
        seconds = time.perf_counter() - started
        if options.masks is not None:
            np.save(options.masks / path.name, mask)
        record = {
            "image": path.stem,
            "seconds": seconds,
            "peak_memory_bytes": peak_memory(),
            "pixels": int(mask.size),
            "cloud_share": float(mask.mean()),
            "version": version(distribution),
            "python": sys.version.split()[0],
        }
        print(json.dumps(record), flush=True)


def peak_memory() -> int:
    """Most bytes that this process ever held; getrusage would count what its parent held when it started it."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) * 1024 if found else 0
