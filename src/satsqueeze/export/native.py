"""The graph of a package for bands in pixels of their own size: the coarser are resampled inside."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch.nn import functional

from satsqueeze.core.errors import ExportError, ParityError
from satsqueeze.core.files import replacing
from satsqueeze.core.manifest import FlightManifest
from satsqueeze.core.native import NativeGrid, NativeImages
from satsqueeze.flight.engines.by_name import open_engine
from satsqueeze.flight.engines.engine import INPUT
from satsqueeze.flight.engines.onnx_engine import OnnxInputs

NATIVE = "native.onnx"
_TOLERANCE = 1e-3  # of a mean probability: interpolated values differ in the last digit, which int8 may round apart
_IMAGES = 8
_BRIGHTEST = 0.6


def native_grids(manifest: FlightManifest) -> tuple[NativeGrid, ...]:
    """The bands of a package by the size of their pixels, the finest first.

    Raises:
        ExportError: all are of one size, or one is no whole number of the finest that divides the image.
    """
    size, finest = manifest.input_size, manifest.gsd_m
    if size is None:
        raise ExportError(
            f"{manifest.name} gives masks; a graph for bands in their own sizes is for decisions on whole images"
        )
    grids = []
    for gsd, bands in groupby(sorted(manifest.bands, key=lambda band: band.gsd_m), key=lambda band: band.gsd_m):
        names, factor = tuple(band.name for band in bands), gsd / finest
        if factor != round(factor) or any(side % round(factor) for side in size):
            raise ExportError(
                f"bands {', '.join(names)} of {gsd:g} m do not lie on images of {size[0]} x {size[1]} px of "
                f"{finest:g} m: {factor:g} is no whole number that divides their sides. Leave these bands out, or "
                "export without native grids"
            )
        sides = tuple(side // round(factor) for side in size)
        grids.append(NativeGrid(input=f"{INPUT}_{gsd:g}m", bands=names, size=(sides[0], sides[1])))
    if len(grids) == 1:
        raise ExportError(
            f"all bands of {manifest.name} have pixels of {finest:g} m, so that nothing is resampled; export without "
            "native grids"
        )
    return tuple(grids)


def proven_native(folder: Path, manifest: FlightManifest, *, seed: int = 0) -> NativeImages:
    """Write the default graph with the resampling of coarser bands before it, and check it against PyTorch's.

    Args:
        folder: of the graphs.
        manifest: draft that lists them.
        seed: of the images that it is checked on.

    Raises:
        ExportError: see :func:`native_grids`.
        ParityError: decisions differ.
    """
    native = NativeImages(file=NATIVE, grids=native_grids(manifest))
    _write(folder / manifest.default_graph, folder / NATIVE, native.grids, manifest)
    generator = np.random.default_rng(seed)
    # Noise, in which places that are half a pixel off tell most.
    images = [_BRIGHTEST * generator.random(_shape(grid), dtype=np.float32) for grid in native.grids]
    wanted = open_engine("onnx", folder / manifest.default_graph).run(
        _together(images, native.grids, manifest), probabilities=True
    )
    inputs = {grid.input: image for grid, image in zip(native.grids, images, strict=True)}
    found = OnnxInputs(folder / NATIVE, inputs=tuple(inputs)).run(inputs)
    gap = float(np.abs(np.asarray(found.probabilities) - np.asarray(wanted.probabilities)).mean())
    if not gap <= _TOLERANCE:
        (folder / NATIVE).unlink()
        raise ParityError(
            f"with bands resampled inside, probabilities differ by {gap:.2g} on average, allowed is {_TOLERANCE:g}; "
            "export without native grids, and report it"
        )
    return native


def _shape(grid: NativeGrid) -> tuple[int, int, int, int]:
    return _IMAGES, len(grid.bands), *grid.size


def _together(
    images: list[NDArray[np.float32]], grids: tuple[NativeGrid, ...], manifest: FlightManifest
) -> NDArray[np.float32]:
    """All bands in the order and size of the default graph."""
    resampled = [
        functional.interpolate(torch.from_numpy(image), manifest.input_size, mode="bilinear", align_corners=False)
        for image in images
    ]
    return np.ascontiguousarray(torch.cat(resampled, dim=1).numpy()[:, _order(grids, manifest)])


def _order(grids: tuple[NativeGrid, ...], manifest: FlightManifest) -> list[int]:
    """Where each band of the package is among those of all grids."""
    held = [band for grid in grids for band in grid.bands]
    return [held.index(band) for band in manifest.band_names]


def _write(graph: Path, path: Path, grids: tuple[NativeGrid, ...], manifest: FlightManifest) -> None:
    """A graph with what makes its input of the grids before it."""
    proto = onnx.load(graph)
    batch = proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    nodes = [node for grid in grids for node in _laid(grid, is_coarse=grid.size != manifest.input_size)]
    nodes += [
        helper.make_node("Concat", [f"{grid.input}/values" for grid in grids], ["grid/together"], axis=1),
        helper.make_node("Gather", ["grid/together", "grid/order"], ["grid/bands"], axis=1),
        # A pixel that any band lacks is missing in all.
        helper.make_node("Max", [f"{grid.input}/missing" for grid in grids], ["grid/missing"]),
        helper.make_node("Greater", ["grid/missing", "grid/zero"], ["grid/is_missing"]),
        helper.make_node("Where", ["grid/is_missing", "grid/zero", "grid/bands"], [INPUT]),
    ]
    for number, node in enumerate(nodes):
        node.name = f"flight/grid/{node.op_type}_{number}"
    scales = {grid.input: _scales(grid, manifest) for grid in grids}
    constants = [
        helper.make_tensor("grid/order", TensorProto.INT64, [len(manifest.bands)], _order(grids, manifest)),
        helper.make_tensor("grid/bands_axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("grid/zero", TensorProto.FLOAT, [], [0.0]),
        *(helper.make_tensor(f"{name}/scales", TensorProto.FLOAT, [4], found) for name, found in scales.items()),
    ]
    inputs = [
        helper.make_tensor_value_info(grid.input, TensorProto.FLOAT, [batch, len(grid.bands), *grid.size])
        for grid in grids
    ]
    for part, fresh in ((proto.graph.input, inputs), (proto.graph.node, [*nodes, *proto.graph.node])):
        del part[:]
        part.extend(fresh)
    proto.graph.initializer.extend(constants)
    onnx.checker.check_model(proto, full_check=True)
    with replacing(path) as temporary:
        onnx.save(proto, temporary)


def _laid(grid: NativeGrid, *, is_coarse: bool) -> list[onnx.NodeProto]:
    """What makes ``values`` of a grid's input, NaN as 0, and what share of each is ``missing``, in finest pixels.

    Missing pixels are resampled by themselves: a NaN among values would count even where its weight is 0.
    """
    name = grid.input
    ends = {"values": f"{name}/own_values", "missing": f"{name}/own_missing"}
    made = ends if is_coarse else {end: f"{name}/{end}" for end in ends}
    nodes = [
        helper.make_node("IsNaN", [name], [f"{name}/is_nan"]),
        helper.make_node("Where", [f"{name}/is_nan", "grid/zero", name], [made["values"]]),
        helper.make_node("Cast", [f"{name}/is_nan"], [f"{name}/nan"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", [f"{name}/nan", "grid/bands_axis"], [made["missing"]], keepdims=1),
    ]
    how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    if is_coarse:
        nodes += [
            helper.make_node("Resize", [own, "", f"{name}/scales"], [f"{name}/{end}"], **how)
            for end, own in ends.items()
        ]
    return nodes


def _scales(grid: NativeGrid, manifest: FlightManifest) -> list[float]:
    size = manifest.input_size or grid.size
    return [1.0, 1.0, *(large / small for large, small in zip(size, grid.size, strict=True))]
