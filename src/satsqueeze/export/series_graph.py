"""A network over dates as one ONNX graph, proven against the trained model."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor
from torch.export import Dim
from typing_extensions import override

from satsqueeze.core.errors import ExportError, ParityError
from satsqueeze.core.files import write_json
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.margin import margin
from satsqueeze.export.folding import fold_batchnorm
from satsqueeze.export.onnx import FlightGraph, GraphShape, export_fp32
from satsqueeze.export.parity import SeriesParity
from satsqueeze.export.shuffle import shuffle_transposed
from satsqueeze.flight.engines.engine import DAYS, INPUT, MASK, PROBABILITIES
from satsqueeze.nets.card import SERIES_FAMILY
from satsqueeze.nets.model import SegmentationModel

GRAPH_FILE, PARITY_FILE = "series.onnx", "series-parity.json"
_PROOF_DATES = (1, 2, 5, 13)
"""Numbers of dates on which a graph is compared with its model."""


class SeriesGraph(FlightGraph):
    """Segmentation of series: a class for every pixel that any date shows.

    Args:
        model: of the family ``series-unet``.

    Raises:
        ExportError: a model of one date.
    """

    def __init__(self, model: SegmentationModel) -> None:
        super().__init__(model)
        if model.card.family != SERIES_FAMILY:
            raise ExportError(f"{model.card.name} reads one date; export it as a flight package")

    @property
    @override
    def shape(self) -> GraphShape:
        """Any number of dates, and any height and width that are multiples of the model's ``size_multiple``."""
        multiple, bands = self.model.size_multiple, len(self.model.card.bands)
        batch, dates = Dim("batch"), Dim("dates")
        rows, cols = multiple * Dim("rows", max=2**16), multiple * Dim("cols", max=2**16)
        planes = {0: "batch", 2: "height", 3: "width"}
        return GraphShape(
            example=(2, 3, bands, 3 * multiple, 4 * multiple),
            dynamic={0: batch, 1: dates, 3: rows, 4: cols},
            further=((2, 3),),
            further_dynamic=({0: batch, 1: dates},),
            axes={
                INPUT: {0: "batch", 1: "dates", 3: "height", 4: "width"},
                DAYS: {0: "batch", 1: "dates"},
                PROBABILITIES: planes,
                MASK: {0: "batch", 1: "height", 2: "width"},
            },
        )

    @override
    def forward(self, reflectance: Tensor, days: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Decide on series.

        Args:
            reflectance: float32 (N, T, C, H, W), 0 in all bands where a date does not count.
            days: float32 (N, T), day of the year; without them ``reflectance`` is (N, C, H, W).

        Returns:
            Probabilities (N, K, H, W), 0 where no date shows the pixel, and mask uint8 (N, H, W), 255 there.
        """
        if days is None:
            return super().forward(reflectance)
        probabilities, mask = self.decided(self.model(reflectance, days))
        shown = (reflectance != 0).any(dim=2).any(dim=1)
        nodata = torch.full_like(mask, IGNORE)
        return probabilities * shown[:, None].to(probabilities.dtype), torch.where(shown, mask, nodata)


def series_graph(model: SegmentationModel) -> SeriesGraph:
    """The graph of a model in evaluation mode on the CPU, batch normalisation folded; the model stays as it is.

    Raises:
        ExportError: a model of one date, or norms that cannot be folded.
    """
    side = 2 * model.size_multiple
    example = torch.rand(1, len(model.card.bands), side, side, generator=torch.Generator().manual_seed(0))
    return SeriesGraph(shuffle_transposed(fold_batchnorm(copy.deepcopy(model).cpu(), example))).eval()


def export_series(
    model: SegmentationModel, folder: Path | str, *, seed: int = 0, tolerance: float = 1e-4
) -> SeriesParity:
    """Write ``series.onnx`` and ``series-parity.json``; the graph is removed where it does not do what the model does.

    Inputs ``reflectance`` float32 (N, T, C, H, W) and ``days`` float32 (N, T); outputs ``probabilities`` and ``mask``;
    N, T, H and W are free, H and W multiples of the model's ``size_multiple``.

    Args:
        model: trained, of the family ``series-unet``; left as it is.
        folder: where; made if absent.
        seed: of the generated series that are compared.
        tolerance: largest difference of a probability.

    Raises:
        ExportError: PyTorch cannot export the model, or it reads one date.
        ParityError: a difference above the tolerance.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    graph, path = series_graph(model), folder / GRAPH_FILE
    card = model.card
    about = {"name": card.name, "bands": ",".join(card.bands), "classes": ",".join(card.classes)}
    export_fp32(graph, path, metadata=about)
    try:
        found = check_series(graph, path, seed=seed, tolerance=tolerance)
    except ParityError:
        path.unlink()
        raise
    write_json(folder / PARITY_FILE, asdict(found))
    return found


def check_series(graph: SeriesGraph, path: Path, *, seed: int, tolerance: float) -> SeriesParity:
    """Compare an exported graph with its model on generated series of several lengths, partly masked.

    Raises:
        ParityError: a difference above the tolerance.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    gaps, differing, ties, pixels, nodata = [], 0, 0, 0, 0
    for images, days in _generated(graph, seed):
        with torch.no_grad():
            want_chances, want = (tensor.numpy() for tensor in graph(images, days))
        chances, mask = session.run([PROBABILITIES, MASK], {INPUT: images.numpy(), DAYS: days.numpy()})
        gaps.append(float(np.abs(chances - want_chances).max()))
        hidden = (want == IGNORE) | (mask == IGNORE)
        differ = mask != want
        differing += int(differ.sum())
        ties += int((differ & ~hidden & (margin(want_chances, axis=1) <= 2 * tolerance)).sum())
        pixels, nodata = pixels + mask.size, nodata + int((want == IGNORE).sum())
    found = SeriesParity(
        dates=_PROOF_DATES,
        pixels=pixels,
        probability_difference=float(np.max(gaps)),
        mask_differences=differing,
        ties=ties,
        nodata_pixels=nodata,
        tolerance=tolerance,
    )
    if not found.probability_difference <= tolerance or differing > ties:
        raise ParityError(
            f"{path.name} differs from the model: probabilities by up to {found.probability_difference:.3g} (allowed "
            f"is {tolerance:.3g}), {differing - ties} of {pixels} classes beyond ties. Export again; if it persists, a "
            "layer is exported wrongly: report it with the model card"
        )
    return found


def _generated(graph: SeriesGraph, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Series of several lengths and sizes: a date without a pixel, dates with holes, and a corner that none shows."""
    generator = torch.Generator().manual_seed(seed)
    multiple, bands = graph.model.size_multiple, len(graph.model.card.bands)
    for number, dates in enumerate(_PROOF_DATES):
        height, width = (2 + number) * multiple, (3 + number % 2) * multiple
        images = torch.rand(2, dates, bands, height, width, generator=generator) + 0.01
        holes = torch.rand(2, dates, 1, height, width, generator=generator) < 0.2
        images.masked_fill_(holes, 0.0)
        images[:, 1:2] = 0
        images[..., : height // 2, : width // 3] = 0
        yield images, torch.rand(2, dates, generator=generator) * 365 + 1
