"""``satsqueeze mosaic``: land cover out of real tiles, with exact labels."""

from __future__ import annotations

from pathlib import Path


def mosaic(
    tiles: str,
    *,
    out: Path = Path("mosaics"),
    card: str | None = None,
    scenes: list[int] = [60, 10, 20],  # noqa: B006 - jsonargparse shows the default
    size: int = 128,
    classes: list[str] | None = None,
    bands: list[str] | None = None,
    seed: int = 0,
) -> int:
    """Fill parcels with real tiles of one class each; no tile is in two of training, validation and test.

    Args:
        tiles: folder, zip file or YAML list of sources with one class per tile, such as EuroSAT.
        out: new folder for images/, labels/, landcover/ and dataset.yaml.
        card: name of the dataset card, where the folder has no dataset.yaml.
        scenes: how many to train on, to choose by and to report on.
        size: height and width in pixels.
        classes: those to use; by default EuroSAT's without Highway and River, whose tiles mostly show something else.
        bands: common names in channel order; by default all that the tiles share.
        seed: the same seed gives the same bytes.
    """
    from satsqueeze.cli.progress import progress
    from satsqueeze.core.errors import SettingsError
    from satsqueeze.data.dataset import open_dataset
    from satsqueeze.data.mosaic import PURE, MosaicSettings, write_mosaics

    if len(scenes) != 3:
        raise SettingsError(f"scenes are three numbers, for training, validation and test; got {scenes}")
    settings = MosaicSettings(
        seed=seed,
        scenes=(scenes[0], scenes[1], scenes[2]),
        size=size,
        classes=tuple(classes or PURE),
        bands=tuple(bands or ()),
    )
    with progress("composing") as advance:
        names = write_mosaics(open_dataset(tiles, card=card), settings, out, advance)
    print(f"{len(names)} mosaics in {out}")
    return 0
