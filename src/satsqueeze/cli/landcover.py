"""``satsqueeze landcover``: a generated country at many dates, with exact land cover."""

from __future__ import annotations

from pathlib import Path


def landcover(
    country: str,
    *,
    out: Path = Path("landcover"),
    seed: int = 0,
    places: list[int] = [40, 10, 14],  # noqa: B006 - jsonargparse shows the default
    dates: int = 12,
    size: int = 96,
    bands: list[str] = ["blue", "green", "red", "nir"],  # noqa: B006
) -> int:
    """Generate the images of a country with exact land cover; places for training, validation and test are apart.

    Args:
        country: alba, borea (of the north), corda or drova (of the south).
        out: new folder for images/, labels/, landcover/ and dataset.yaml.
        seed: the same seed gives the same bytes.
        places: how many to train on, to choose by and to report on.
        dates: images of each place, spread over the year.
        size: height and width in pixels of 10 m.
        bands: common names of Sentinel-2 bands.
    """
    from satsqueeze.cli.progress import progress
    from satsqueeze.core.errors import SettingsError
    from satsqueeze.data.synth.landcover_writer import LandCoverSettings, write_land_cover

    if len(places) != 3:
        raise SettingsError(f"places are three numbers, for training, validation and test; got {places}")
    settings = LandCoverSettings(
        country=country,
        seed=seed,
        places=(places[0], places[1], places[2]),
        dates=dates,
        size=size,
        bands=tuple(bands),
    )
    with progress("generating") as advance:
        names = write_land_cover(settings, out, advance)
    print(f"{len(names)} images of {sum(places)} places in {out}")
    return 0
