"""Arrays in ``.npy``, ``.npz`` and pickled files, read without running anything that a file may hold."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import RasterError
from satsqueeze.data.filetree import read_bytes

SUFFIXES = (".npy", ".npz", ".pickle", ".pkl")
_HARMLESS = {
    (f"numpy{core}.multiarray", name) for core in (".core", "._core") for name in ("_reconstruct", "scalar")
} | {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}
"""All that a pickled array needs, of numpy 1 and 2 and of Python 2."""


def is_array_file(path: str) -> bool:
    """Whether a path is that of a file of arrays."""
    return path.lower().endswith(SUFFIXES)


def read_arrays(path: str) -> Mapping[str, NDArray[Any]]:
    """The arrays of a file by name; the one of a ``.npy`` file is called by the empty text and mapped from the disk.

    Args:
        path: as :func:`satsqueeze.data.filetree.list_files` gives it.

    Raises:
        RasterError: unreadable, something else than arrays, or a pickle that holds more than plain values.
    """
    lower = path.lower()
    try:
        if lower.endswith(".npy") and not path.startswith("/vsizip/"):
            return {"": np.load(path, mmap_mode="r", allow_pickle=False)}
        handle = io.BytesIO(read_bytes(path))
        if lower.endswith(".npy"):
            return {"": np.load(handle, allow_pickle=False)}
        if lower.endswith(".npz"):
            with np.load(handle, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        return _plain(_ArrayUnpickler(handle, encoding="latin1").load())
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, pickle.UnpicklingError) as e:
        raise RasterError(f"{path} cannot be read as arrays: {e}; fetch or write the file again") from e


class _ArrayUnpickler(pickle.Unpickler):
    """Makes arrays and plain values, and refuses whatever else a pickle asks for."""

    def find_class(self, module: str, name: str) -> Any:
        """One of the few names that arrays need.

        Raises:
            UnpicklingError: any other.
        """
        if (module, name) not in _HARMLESS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _plain(record: Any) -> Mapping[str, NDArray[Any]]:
    if not isinstance(record, dict):
        raise ValueError(f"expected a dictionary of arrays, got {type(record).__name__}")
    return {str(key): np.asarray(value) for key, value in record.items()}
