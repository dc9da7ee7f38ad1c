"""Man-made partitions of the land: blocks of fields, the fields in them, streets and buildings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satsqueeze.data.synth.noise import Field, Spectrum, lattice_hash, power_noise, unit

PARCEL_KINDS = 4096
"""Parcels are numbered 0..4095; a scene looks up what grows where in tables of this length."""


@dataclass(frozen=True, kw_only=True)
class Parcels:
    """A partition into blocks (same orientation) and parcels."""

    ids: NDArray[np.int32]
    """(H, W) parcel number, 0..PARCEL_KINDS-1; the number repeats far away."""
    blocks: NDArray[np.int32]
    """(H, W) block number, 0, 1, ..."""
    along: Field
    """(H, W) distance along the block's main direction, pixels: plough lines run across it."""
    edges: NDArray[np.bool_]
    """(H, W) True where the neighbouring pixel belongs to another parcel."""
    block_edges: NDArray[np.bool_]
    """(H, W) the same for blocks."""


def edges_of(ids: NDArray[np.int32]) -> NDArray[np.bool_]:
    """True where the pixel to the right or below has another number."""
    edges = np.zeros(ids.shape, dtype=bool)
    edges[:, :-1] = ids[:, :-1] != ids[:, 1:]
    edges[:-1] |= ids[:-1] != ids[1:]
    return edges


def divide(rng: np.random.Generator, height: int, width: int, *, size_px: float, blocks: int) -> Parcels:
    """Divide an image into blocks of oriented, brick-like parcels.

    Args:
        rng: source of randomness.
        height: rows.
        width: columns.
        size_px: typical side of a parcel, pixels.
        blocks: number of blocks, each with its own orientation and parcel shape.
    """
    rows = np.arange(height, dtype=np.float32)[:, None]
    cols = np.arange(width, dtype=np.float32)[None, :]
    outer = max(min(height, width) / 3, 4.0)
    warp = power_noise(rng, height, width, Spectrum(exponent=2.0, outer=outer)) * np.float32(size_px * 0.5)
    block = _nearest(rng, rows + warp, cols - warp, blocks, (height, width))
    angle = rng.uniform(0, np.pi) + rng.normal(0, 0.5, blocks)
    shape = np.exp(rng.normal(0, 0.35, (2, blocks))) * size_px
    shape[1] *= np.exp(rng.uniform(0, 1.1, blocks))
    shape = np.maximum(shape, 3.0).astype(np.float32)
    bend = warp * np.float32(0.15)
    cos, sin = np.cos(angle).astype(np.float32)[block], np.sin(angle).astype(np.float32)[block]
    along = cols * cos + rows * sin + bend
    across = rows * cos - cols * sin - bend
    strip = _irregular(along / shape[0][block], block, salt=1)
    offset = unit(lattice_hash(strip, block, 2))
    brick = _irregular(across / (shape[1][block] * (0.7 + 0.6 * offset)) + 7 * offset, strip, salt=3)
    ids = (lattice_hash(strip + 977 * block, brick, 4) % np.uint32(PARCEL_KINDS)).astype(np.int32)
    return Parcels(ids=ids, blocks=block, along=along, edges=edges_of(ids), block_edges=edges_of(block))


def _nearest(
    rng: np.random.Generator, rows: Field, cols: Field, count: int, shape: tuple[int, int]
) -> NDArray[np.int32]:
    """Number of the nearest of ``count`` random points: a Voronoi diagram in warped coordinates."""
    points = rng.uniform(-0.1, 1.1, (count, 2)) * np.array(shape)
    best = np.full(shape, np.inf, dtype=np.float32)
    block = np.zeros(shape, dtype=np.int32)
    for number, (row, col) in enumerate(points):
        distance = (rows - np.float32(row)) ** 2 + (cols - np.float32(col)) ** 2
        nearer = distance < best
        block[nearer] = number
        best = np.minimum(best, distance)
    return block


def _irregular(position: Field, lane: NDArray[np.int32], *, salt: int) -> NDArray[np.int32]:
    """Cell numbers along a line whose boundaries are shifted by a hash, so that widths vary."""
    cell = np.floor(position).astype(np.int32)
    boundary = np.float32(0.65) * unit(lattice_hash(cell, lane, salt))
    result: NDArray[np.int32] = cell - ((position - cell) < boundary)
    return result


@dataclass(frozen=True, kw_only=True)
class Streets:
    """A built-up grid."""

    houses: Field
    """(H, W) hash in [0, 1) per plot."""
    street: NDArray[np.bool_]
    """(H, W) True on streets."""


def street_grid(rng: np.random.Generator, parcels: Parcels, *, plot_px: float, plots: int) -> Streets:
    """Plots of ``plot_px`` pixels with a street every ``plots`` plots, oriented by the parcels' blocks."""
    height, width = parcels.ids.shape
    plot_px = max(plot_px, 1.3)
    angle = float(rng.uniform(0, np.pi / 2))
    rows = np.arange(height, dtype=np.float32)[:, None]
    cols = np.arange(width, dtype=np.float32)[None, :]
    turn = (angle + np.array([0, 0.35, -0.3, 0.8], dtype=np.float32))[parcels.blocks % 4]
    cos, sin = np.cos(turn), np.sin(turn)
    u, v = (cols * cos + rows * sin) / np.float32(plot_px), (rows * cos - cols * sin) / np.float32(plot_px)
    i, j = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
    street = (i % plots == 0) | (j % (plots + 2) == 0)
    return Streets(houses=unit(lattice_hash(i, j, 11)), street=street & (plots * plot_px > 3))
