"""Metadata by which the QGIS plugin Deepness sets itself up when it opens a graph.

Keys and their meaning are those of PUTvision/qgis-plugin-deepness, ``model_base.py``: every value is JSON. The plugin
divides a raster by 255, subtracts ``standardization_mean`` and divides by ``standardization_std``, per channel; our
graph takes reflectance, so these two undo the 255 and turn the digital numbers of a product into reflectance.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from satsqueeze.core.manifest import FlightManifest
from satsqueeze.core.window import up


@dataclass(frozen=True, kw_only=True)
class DeepnessSettings:
    """What the plugin shall assume about the rasters that a user opens."""

    tile: int = 512
    """Side of the plugin's tiles, in pixels; raised to a multiple of the graph's ``size_multiple``."""
    dn_per_reflectance: float = 10000.0
    """Digital numbers per unit of reflectance; 1 for rasters that hold reflectance."""
    dn_offset: float = 0.0
    """Digital number of reflectance 0, such as 1000 for Sentinel-2 of processing baseline 04.00 and later."""


def deepness_metadata(manifest: FlightManifest, settings: DeepnessSettings) -> dict[str, str]:
    """ONNX metadata for Deepness.

    ``class_names`` has one entry per graph output (probabilities, mask); ``seg_thresh`` 0 makes the plugin take the
    most probable class, as the graph does; both spellings of the tile size are read by some version.
    """
    multiple = manifest.size_multiple
    tile = up(settings.tile, multiple)
    overlap = min(50, -(-100 * 2 * manifest.receptive_field // tile))
    channels = len(manifest.bands)
    values = {
        "model_type": "Segmentor",
        "class_names": [
            {str(value): name for value, name in enumerate(manifest.classes)},
            {"0": manifest.classes[0]},
        ],
        "resolution": manifest.gsd_m * 100,
        "tile_size": tile,
        "tiles_size": tile,
        "tiles_overlap": overlap,
        "standardization_mean": [settings.dn_offset / 255] * channels,
        "standardization_std": [settings.dn_per_reflectance / 255] * channels,
        "seg_thresh": 0.0,
        "seg_small_segment": 0,
    }
    return {key: json.dumps(value) for key, value in values.items()}
