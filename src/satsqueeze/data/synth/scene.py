"""A synthetic scene: land, air, clouds and sensor put together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.labels import IGNORE
from satsqueeze.data.synth.atmosphere import band_index, lay_haze
from satsqueeze.data.synth.biomes import BIOMES, SUN_ZENITH, Biome, paint
from satsqueeze.data.synth.cloud_decks import CloudKind
from satsqueeze.data.synth.clouds import CloudSettings, composite, generate_clouds
from satsqueeze.data.synth.noise import stream
from satsqueeze.data.synth.relief import illumination
from satsqueeze.data.synth.sensor import expose, swath
from satsqueeze.data.synth.sun import Sun
from satsqueeze.data.synth.surface import Canvas, develop


@dataclass(frozen=True, kw_only=True)
class SceneSettings:
    """Everything that determines a scene; the same settings give the same bytes."""

    seed: int
    """Of everything that is drawn; the same seed gives the same pixels."""
    height: int = 512
    """Rows, pixels."""
    width: int = 512
    """Columns, pixels."""
    bands: tuple[str, ...] = ("blue", "green", "red", "nir")
    """Common names, in channel order; a band's values do not depend on which others are asked for."""
    gsd: float = 10.0
    """Pixel size, metres: 10 for Sentinel-2, 30 for Landsat."""
    biome: Biome | None = None
    """One of ``BIOMES``; None draws one from the seed."""
    cloud_kind: CloudKind | None = None
    """One of ``CLOUD_KINDS``; None draws one from the seed."""
    cloud_fraction: float | None = None
    """Share of the image under thick or thin cloud, 0..1, met to within a few hundredths; None draws one."""
    haze: float | None = None
    """Haze reflectance at 550 nm; None draws one, mostly near 0.01."""
    nodata_probability: float = 0.12
    """Chance that the scene lies across the edge of a swath."""
    sensor_noise: float = 1.0
    """Noise strength; 0 switches it off."""
    thin_opacity: float = 0.12
    """Opacity from which a pixel is labelled thin cloud."""
    thick_opacity: float = 0.42
    """Opacity from which a pixel is labelled thick cloud."""

    def __post_init__(self) -> None:
        band_index(self.bands)
        if len(set(self.bands)) != len(self.bands):
            raise SettingsError(f"bands must be distinct, got {', '.join(self.bands)}")
        if min(self.height, self.width) < 16:
            raise SettingsError(f"a scene needs at least 16 x 16 pixels, got {self.height} x {self.width}")
        if self.seed < 0:
            raise SettingsError(f"the seed must not be negative, got {self.seed}")
        if self.biome is not None and self.biome not in BIOMES:
            raise SettingsError(f"unknown biome {self.biome!r}; known: {', '.join(BIOMES)}")
        if not 0 <= self.nodata_probability <= 1:
            raise SettingsError(f"nodata_probability must lie in [0, 1], got {self.nodata_probability}")
        if not all(0 <= value < math.inf for value in (self.sensor_noise, self.haze or 0.0)):
            raise SettingsError(f"noise and haze must be finite and >= 0, got {self.sensor_noise} and {self.haze}")
        self.clouds(Sun(zenith_deg=0, azimuth_deg=0))

    def clouds(self, sun: Sun) -> CloudSettings:
        """The cloud layer's share of these settings.

        Raises:
            SettingsError: a cloud setting out of range.
        """
        return CloudSettings(
            bands=self.bands,
            gsd=self.gsd,
            kind=self.cloud_kind,
            fraction=self.cloud_fraction,
            sun=sun,
            thin_opacity=self.thin_opacity,
            thick_opacity=self.thick_opacity,
        )


@dataclass(frozen=True, kw_only=True)
class SynthScene:
    """A generated scene with its exact truth."""

    reflectance: NDArray[np.float32]
    """Float32 (C, H, W) top-of-atmosphere reflectance; 0 where invalid."""
    labels: NDArray[np.uint8]
    """(H, W): 0 clear, 1 thick cloud, 2 thin cloud, 3 shadow, 255 nodata."""
    land_cover: NDArray[np.uint8]
    """(H, W): position in ``LAND_COVER``, of the ground also where clouds hide it; 255 nodata."""
    valid: NDArray[np.bool_]
    """(H, W): True = valid."""
    bands: tuple[str, ...]
    """Names of the C channels."""
    gsd: float
    """Pixel size, metres."""
    sun_zenith_deg: float
    sun_azimuth_deg: float
    """Clockwise from north."""
    biome: Biome


def generate_scene(settings: SceneSettings) -> SynthScene:
    """Generate a scene.

    Bit-identical for the same settings on the same kind of processor and NumPy version; bands are independent of each
    other, so a subset of bands equals the same bands of a full scene.
    """
    height, width, seed = settings.height, settings.width, settings.seed
    rng = stream(seed, "scene")
    drawn = BIOMES[int(rng.integers(len(BIOMES)))]
    biome = settings.biome or drawn
    low, high = SUN_ZENITH.get(biome, (25.0, 65.0))
    azimuth = float(rng.choice([rng.uniform(100, 170), rng.uniform(20, 80)], p=[0.75, 0.25]))
    sun = Sun(zenith_deg=float(rng.uniform(low, high)), azimuth_deg=azimuth)
    canvas = Canvas(stream(seed, "land", biome), height, width, settings.gsd)
    paint(canvas, biome)
    light = illumination(canvas.heights, gsd=settings.gsd, sun=sun)
    surface = develop(canvas, settings.bands, light)
    _add_haze(surface, settings)
    clouds = generate_clouds(stream(seed, "clouds"), height, width, settings.clouds(sun))
    image = expose(composite(surface, clouds), settings.bands, seed=seed, gsd=settings.gsd, noise=settings.sensor_noise)
    valid = np.ones((height, width), dtype=bool)
    if rng.uniform() < settings.nodata_probability:
        valid = swath(stream(seed, "swath"), height, width)
    cover = canvas.dominant()
    return SynthScene(
        reflectance=np.where(valid, image, np.float32(0)),
        labels=np.where(valid, clouds.labels, np.uint8(IGNORE)),
        land_cover=np.where(valid, cover, np.uint8(IGNORE)),
        valid=valid,
        bands=settings.bands,
        gsd=settings.gsd,
        sun_zenith_deg=sun.zenith_deg,
        sun_azimuth_deg=sun.azimuth_deg,
        biome=biome,
    )


def _add_haze(surface: NDArray[np.float32], settings: SceneSettings) -> None:
    """Uneven haze, in place: adds reflectance, more at short wavelengths, and dims the ground."""
    rng = stream(settings.seed, "haze")
    level = min(float(rng.gamma(1.2, 0.01)), 0.06)
    level = level if settings.haze is None else settings.haze
    lay_haze(surface, settings.bands, rng, level=level, angstrom=float(rng.uniform(0.6, 2.0)))
