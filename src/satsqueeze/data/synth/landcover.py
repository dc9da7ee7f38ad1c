"""One place of a country at many dates, with its exact land cover."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.labels import IGNORE
from satsqueeze.data.synth import land
from satsqueeze.data.synth.atmosphere import band_index, lay_haze
from satsqueeze.data.synth.clouds import CloudSettings, composite, generate_clouds
from satsqueeze.data.synth.countries import FIELD_CLASSES, Country
from satsqueeze.data.synth.noise import Field, stream
from satsqueeze.data.synth.parcels import PARCEL_KINDS
from satsqueeze.data.synth.phenology import KINDS, YEAR, greenness, northern_day, zenith_deg
from satsqueeze.data.synth.relief import hill_heights, illumination
from satsqueeze.data.synth.scene import SynthScene
from satsqueeze.data.synth.sensor import expose
from satsqueeze.data.synth.spectra import LAND_COVER
from satsqueeze.data.synth.sun import Sun
from satsqueeze.data.synth.surface import Canvas, develop

_ROWS_M = 32.0
"""Between the rows of summer crops and the trees of orchards: wide enough to be seen at 10 m."""
_PARCEL_DAYS = 10.0
"""Standard deviation of how much earlier or later a parcel is than its neighbours."""


@dataclass(frozen=True, kw_only=True)
class PlaceSettings:
    """Everything that determines the images of a place; the same settings give the same bytes."""

    country: Country
    """Whose land cover, soils and seasons."""
    seed: int
    """Of everything that is drawn; the same seed gives the same result on one machine."""
    size: int = 96
    """Rows and columns, pixels."""
    dates: int = 12
    """Images, spread over the year."""
    bands: tuple[str, ...] = ("blue", "green", "red", "nir")
    """Common names, in channel order."""
    gsd: float = 10.0
    """Pixel size, metres."""
    sensor_noise: float = 1.0
    """Noise strength; 0 switches it off."""

    def __post_init__(self) -> None:
        band_index(self.bands)
        if len(set(self.bands)) != len(self.bands):
            raise SettingsError(f"bands must be distinct, got {', '.join(self.bands)}")
        if self.size < 16 or self.dates < 1 or self.seed < 0 or self.gsd <= 0 or self.sensor_noise < 0:
            raise SettingsError(
                "a place needs at least 16 px, 1 date, a seed >= 0, a pixel size > 0 and noise >= 0, got "
                f"{self.size}, {self.dates}, {self.seed}, {self.gsd} and {self.sensor_noise}"
            )


@dataclass(frozen=True, kw_only=True)
class DatedScene:
    """A place on a day."""

    day: float
    """Of the year, 0..365."""
    scene: SynthScene
    """Its ``labels`` are classes of ``LAND_USE``, 255 under cloud and its shadow; its ``land_cover`` is of the ground,
    by the generator's own names, also under clouds."""


@dataclass(frozen=True, kw_only=True)
class _Ground:
    """What does not change over the year."""

    canvas: Canvas
    classes: NDArray[np.uint8]
    """(H, W), of ``LAND_USE``."""
    days: Field
    """(H, W): how much earlier each parcel is."""
    vigour: Field
    """(H, W): how much greener than its kind each parcel is, as a factor."""


def generate_place(settings: PlaceSettings) -> Iterator[DatedScene]:
    """The images of a place in the order of their days."""
    ground = _painted(settings)
    days = stream(settings.seed, "days")
    spacing = YEAR / settings.dates
    for date in range(settings.dates):
        day = spacing * (date + float(days.uniform(0.1, 0.9)))
        yield DatedScene(day=day, scene=_taken(ground, settings, date, day))


def _painted(settings: PlaceSettings) -> _Ground:
    country, size = settings.country, settings.size
    rng = stream(settings.seed, "land use", country.name)
    canvas = Canvas(stream(settings.seed, "ground", country.name), size, size, settings.gsd)
    parcels = land.draw_parcels(canvas, low_m=country.parcel_m[0], high_m=country.parcel_m[1])
    shares = np.array(country.shares) * rng.gamma(4.0, 0.25, len(country.shares))
    kinds = rng.choice(np.array(FIELD_CLASSES, np.uint8), PARCEL_KINDS, p=shares / shares.sum())
    classes = kinds[parcels.ids]
    canvas.cover = _covers(country)[classes]
    _plant(canvas, classes, parcels.along, parcels.ids)
    woods = land.paint_woods(canvas, float(rng.uniform(*country.woods)))
    classes[woods] = KINDS["forest"]
    before = canvas.cover.copy()
    land.paint_town(canvas, parcels, float(rng.uniform(*country.towns)))
    # With streets and gardens.
    classes[canvas.cover != before] = KINDS["built-up"]
    lakes = land.paint_lakes(canvas, float(rng.uniform(*country.lakes)), size_m=900)
    classes[lakes] = KINDS["water"]
    amplitude = float(rng.uniform(0.2, 1.0)) * country.relief_m
    canvas.heights = hill_heights(canvas.rng, size, size, gsd=settings.gsd, amplitude_m=amplitude)
    land.paint_canopy(canvas)
    days = rng.normal(0, _PARCEL_DAYS, PARCEL_KINDS).astype(np.float32)[parcels.ids]
    vigour = np.clip(rng.normal(1, 0.12, PARCEL_KINDS), 0.6, 1.3).astype(np.float32)[parcels.ids]
    return _Ground(canvas=canvas, classes=classes, days=days, vigour=vigour)


def _covers(country: Country) -> NDArray[np.uint8]:
    """Code of the ground under each class, by class."""
    under = {
        "winter crop": country.soil,
        "summer crop": country.soil,
        "grassland": "pasture",
        "orchard": "orchard",
        "bare ground": country.soil,
        "forest": "forest",
        "water": "water",
        "built-up": "residential",
    }
    return np.array([LAND_COVER.index(under[name]) for name in KINDS], np.uint8)


def _plant(canvas: Canvas, classes: NDArray[np.uint8], along: Field, parcels: NDArray[np.int32]) -> None:
    """Give each kind of field the texture that it keeps all year, and each parcel a condition of its own."""
    rng = canvas.rng
    scores = np.clip(rng.normal(0, 1, (len(canvas.place), PARCEL_KINDS)), -1.9, 1.9).astype(np.float32)
    for factor in range(len(canvas.place)):
        canvas.place[factor] = 0.7 * scores[factor][parcels] + np.float32(0.25) * canvas.place[factor]
    turns = np.float32(2 * np.pi * canvas.gsd / _ROWS_M)
    across = np.gradient(along, axis=0) * np.arange(canvas.width, dtype=np.float32)[None, :]
    across -= np.gradient(along, axis=1) * np.arange(canvas.height, dtype=np.float32)[:, None]
    rows, trees = np.sin(turns * along), np.sin(turns * along) * np.sin(turns * across)
    grain = canvas.grain[0]
    patches = canvas.noise(120, 1.6)
    texture = {
        "winter crop": 0.4 * grain,
        "summer crop": 0.4 * grain + 0.6 * rows,
        "grassland": 0.6 * grain + 0.6 * patches,
        "orchard": 0.5 * grain + 1.1 * trees,
        "bare ground": 1.2 * grain,
    }
    for name, values in texture.items():
        canvas.grain[0] = np.where(classes == KINDS[name], values, canvas.grain[0]).astype(np.float32)


def _taken(ground: _Ground, settings: PlaceSettings, date: int, day: float) -> SynthScene:
    """What the sensor sees of a place on a day."""
    country, canvas, size = settings.country, ground.canvas, settings.size
    rng = stream(settings.seed, "sky", str(date))
    sun = Sun(zenith_deg=zenith_deg(day, country), azimuth_deg=float(rng.uniform(120, 165)))
    _dress(ground, country, day)
    surface = develop(canvas, settings.bands, illumination(canvas.heights, gsd=settings.gsd, sun=sun))
    level = min(float(rng.gamma(2.0, country.haze / 2)), 0.08)
    lay_haze(surface, settings.bands, rng, level=level, angstrom=float(rng.uniform(0.6, 2.0)))
    fraction = _cloud_fraction(rng, country)
    sky = CloudSettings(bands=settings.bands, gsd=settings.gsd, fraction=fraction, sun=sun)
    clouds = generate_clouds(rng, size, size, sky)
    image = expose(
        composite(surface, clouds),
        settings.bands,
        seed=int(rng.integers(2**31)),
        gsd=settings.gsd,
        noise=settings.sensor_noise,
    )
    return SynthScene(
        reflectance=image,
        labels=np.where(clouds.labels == 0, ground.classes, np.uint8(IGNORE)),
        land_cover=canvas.cover.copy(),
        valid=np.ones((size, size), dtype=bool),
        bands=settings.bands,
        gsd=settings.gsd,
        sun_zenith_deg=sun.zenith_deg,
        sun_azimuth_deg=sun.azimuth_deg,
        biome="farmland",
    )


def _cloud_fraction(rng: np.random.Generator, country: Country) -> float:
    """Most images are clear, some are half covered; on the whole as many clouds as the country has."""
    cloudy = float(rng.uniform()) < 2 * country.cloudiness
    share = float(rng.beta(1.5, 1.5))
    return share if cloudy else 0.0


def _dress(ground: _Ground, country: Country, day: float) -> None:
    """Let grow, ripen and wither what is there on a day."""
    canvas, classes = ground.canvas, ground.classes
    canvas.blends = []
    season = northern_day(day + ground.days, country)
    for name, living, dead in (
        ("winter crop", "crop", ""),
        ("summer crop", "crop", ""),
        ("grassland", "", "dry_grass"),
        ("orchard", "", country.soil),
        ("forest", "", "dry_grass"),
    ):
        green = greenness(name, season, dryness=country.dryness) * ground.vigour
        share = np.clip(green if living else 0.7 * (1 - green), 0, 1).astype(np.float32)
        canvas.blend(living or dead, np.where(classes == KINDS[name], share, np.float32(0)))
