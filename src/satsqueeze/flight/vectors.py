"""Test vectors: generated inputs with the outputs of the machine that exported the package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import PackageError
from satsqueeze.core.files import replacing
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.margin import margin

Result = tuple[NDArray[np.uint8], NDArray[np.float32]]
"""Mask (H, W) and probabilities (K, H, W) of one image; of a decision on the whole, () or (K,), and (K,)."""
FP32_DIFFERENCE = 1e-3
"""Largest difference of a probability allowed to a float graph."""
INT8_DIFFERENCE = 0.02
"""Mean difference of probabilities allowed to an int8 graph: processors round and saturate integers differently."""


@dataclass(frozen=True, kw_only=True)
class TestVectors:
    """Generated images and, per graph, what they must give."""

    __test__ = False  # not a test case for pytest

    images: tuple[NDArray[np.float32], ...]
    """Float32 reflectance (C, H, W) each, of various sizes; NaN where missing."""
    expected: Mapping[str, tuple[Result, ...]]
    """Per graph file, the result for each image."""

    def write(self, path: Path) -> None:
        """Write a compressed ``.npz``; the same vectors give the same bytes."""
        arrays: dict[str, NDArray[np.generic]] = {f"image.{i}": image for i, image in enumerate(self.images)}
        for file, results in self.expected.items():
            for i, (mask, probabilities) in enumerate(results):
                arrays[f"mask.{i}.{file}"] = mask
                arrays[f"probabilities.{i}.{file}"] = probabilities
        with replacing(path) as temporary, temporary.open("wb") as handle:
            np.savez_compressed(handle, **arrays)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: Path) -> TestVectors:
        """Inverse of :meth:`write`.

        Raises:
            PackageError: not a file of test vectors.
        """
        try:
            with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            count = sum(name.startswith("image.") for name in arrays)
            files = sorted({name.split(".", 2)[2] for name in arrays if name.startswith("mask.")})
            read = cls(
                images=tuple(arrays[f"image.{i}"] for i in range(count)),
                expected={
                    file: tuple((arrays[f"mask.{i}.{file}"], arrays[f"probabilities.{i}.{file}"]) for i in range(count))
                    for file in files
                },
            )
            read._check()
            return read
        except Exception as error:  # a damaged archive raises what zipfile, zlib, struct and NumPy raise
            raise PackageError(f"{path} holds no test vectors ({error}); fetch or export the package again") from error

    def _check(self) -> None:
        results = [result for results in self.expected.values() for result in results]
        if not self.images or any(image.ndim != 3 or image.dtype != np.float32 for image in self.images):
            raise ValueError("expected at least one image, float32 (C, H, W)")
        if any(mask.dtype != np.uint8 or chances.dtype != np.float32 for mask, chances in results):
            raise ValueError("expected uint8 masks and float32 probabilities")
        if not all(np.isfinite(chances).all() for _, chances in results):
            raise ValueError("expected finite probabilities")


@contextmanager
def fitting(file: str) -> Iterator[None]:
    """Run graph ``file`` in the block; whatever goes wrong there means that it does not fit its manifest.

    Raises:
        PackageError: anything was raised.
    """
    try:
        yield
    except PackageError:
        raise
    except Exception as error:  # engines raise C++ errors without a common type
        raise PackageError(
            f"{file} does not run as its manifest says ({error}); fetch or export the package again"
        ) from error


@dataclass(frozen=True, kw_only=True)
class SelfTest:
    """How an engine did on the test vectors."""

    graph: str
    pixels: int
    mask_differences: int
    """Pixels whose class differs from the expected one."""
    max_difference: float
    """Largest absolute difference of a probability."""
    mean_difference: float
    """Mean absolute difference of probabilities."""
    reason: str
    """Why it failed; empty where it passed."""

    @property
    def passed(self) -> bool:
        """Whether the engine reproduces the vectors."""
        return not self.reason


def compare(
    vectors: TestVectors,
    file: str,
    results: Sequence[Result],
    *,
    precision: Literal["fp32", "int8"],
    thresholds: Sequence[float] = (),
) -> SelfTest:
    """Compare results with the expected ones of graph ``file``.

    A float graph must give every probability within 1e-3, and the same class wherever the two best classes are further
    apart than twice that, or probabilities that far from their thresholds where there are any. An int8 graph must give
    probabilities within 0.02 on average. Missing pixels must agree.

    Raises:
        PackageError: the vectors do not cover this graph.
    """
    expected = vectors.expected.get(file)
    if expected is None:
        raise PackageError(f"the test vectors do not cover {file}; they cover {', '.join(vectors.expected)}")
    shapes = [[(mask.shape, chances.shape) for mask, chances in found] for found in (results, expected)]
    if shapes[0] != shapes[1]:
        raise PackageError(
            f"the test vectors of {file} have shapes {shapes[1]}, but it gives {shapes[0]}; export again"
        )
    pixels = differences = undecided = 0
    gaps: list[NDArray[np.float32]] = []
    reasons = []
    for (mask, chances), (want_mask, want_chances) in zip(results, expected, strict=True):
        differ = mask != want_mask
        undecided += int((differ & (_margin(want_chances, thresholds) <= 2 * FP32_DIFFERENCE)).sum())
        pixels += mask.size
        differences += int(differ.sum())
        gaps.append(np.abs(chances - want_chances).ravel())
        if ((mask == IGNORE) != (want_mask == IGNORE)).any():
            reasons.append("missing pixels differ")
    gap = np.concatenate(gaps)
    largest, mean = float(gap.max()), float(gap.mean())
    if precision == "fp32" and (not largest <= FP32_DIFFERENCE or differences > undecided):
        reasons.append(f"probabilities differ by up to {largest:.2g} and {differences} of {pixels} classes differ")
    if precision == "int8" and not mean <= INT8_DIFFERENCE:
        reasons.append(f"probabilities differ by {mean:.2g} on average")
    return SelfTest(
        graph=file,
        pixels=pixels,
        mask_differences=differences,
        max_difference=largest,
        mean_difference=mean,
        reason=", ".join(dict.fromkeys(reasons)),
    )


def _margin(chances: NDArray[np.float32], thresholds: Sequence[float]) -> NDArray[np.float32]:
    """How clear each decision is, shaped as the decisions."""
    if thresholds:
        return np.abs(chances - np.asarray(thresholds, np.float32))
    return margin(chances, axis=0)
