"""``satsqueeze synth``: labelled scenes out of nothing but a seed."""

from __future__ import annotations

from pathlib import Path


def synth(
    out: Path = Path("scenes"),
    scenes: int = 12,
    size: int = 256,
    seed: int = 0,
    bands: list[str] = ["blue", "green", "red", "nir"],  # noqa: B006 - jsonargparse shows the default
) -> int:
    """Generate georeferenced scenes with exact cloud and land-cover labels.

    Args:
        out: new folder for images/, labels/, landcover/ and dataset.yaml.
        scenes: number of scenes.
        size: height and width in pixels of 10 m.
        seed: the same seed gives the same bytes.
        bands: common names of Sentinel-2 bands.
    """
    from satsqueeze.data.synth import DatasetSettings, write_dataset

    names = write_dataset(DatasetSettings(seed=seed, scenes=scenes, size=size, bands=tuple(bands)), out)
    print(f"{len(names)} scenes in {out}")
    return 0
