"""Clouds and their shadows, on any surface: synthetic scenes and pasting on real clear images.

Optical depth becomes albedo, and albedo is laid over the surface with multiple reflection between both (adding
method, no absorption; van de Hulst, Light Scattering by Small Particles, 1957). Everything wraps around at the
image's edges, so a cloud outside the image still casts its shadow into it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import GridError, SettingsError
from satsqueeze.data.synth.atmosphere import band_index, diffuse_share, path_reflectance
from satsqueeze.data.synth.cloud_decks import CLOUD_KINDS, CloudKind, Deck, DeckSettings, draw_decks
from satsqueeze.data.synth.noise import Field, soften
from satsqueeze.data.synth.sun import Sun

CLEAR, THICK, THIN, SHADOW = 0, 1, 2, 3
_KIND_WEIGHTS = (0.34, 0.14, 0.16, 0.10, 0.12, 0.14)


@dataclass(frozen=True, kw_only=True)
class CloudSettings:
    """What kind of clouds, how many, and when they count."""

    bands: tuple[str, ...] = ("blue", "green", "red", "nir")
    """Common names of the bands wanted."""
    gsd: float = 10.0
    """Pixel size, metres."""
    kind: CloudKind | None = None
    """One of ``CLOUD_KINDS``; None draws one."""
    fraction: float | None = None
    """Share of the image that is cloud (thick or thin), 0..1; None draws one."""
    sun: Sun | None = None
    """None draws one."""
    thin_opacity: float = 0.12
    """Opacity from which a pixel is labelled thin cloud."""
    thick_opacity: float = 0.42
    """Opacity from which a pixel is labelled thick cloud."""
    shadow_loss: float = 0.35
    """Share of direct sunlight lost from which a pixel is labelled shadow."""

    def __post_init__(self) -> None:
        band_index(self.bands)
        if self.kind is not None and self.kind not in CLOUD_KINDS:
            raise SettingsError(f"unknown cloud kind {self.kind!r}; known: {', '.join(CLOUD_KINDS)}")
        if self.fraction is not None and not 0 <= self.fraction <= 1:
            raise SettingsError(f"the cloud fraction must lie in [0, 1], got {self.fraction}")
        if not 0 < self.gsd < math.inf:
            raise SettingsError(f"the ground sample distance must be positive and finite, got {self.gsd} m")
        if not 0 < self.thin_opacity < self.thick_opacity < 1:
            raise SettingsError(
                f"opacities must satisfy 0 < thin < thick < 1, got {self.thin_opacity} and {self.thick_opacity}"
            )
        if not 0 < self.shadow_loss < 1:
            raise SettingsError(f"the shadow threshold must lie in (0, 1), got {self.shadow_loss}")


@dataclass(frozen=True, kw_only=True)
class CloudLayer:
    """Clouds without a surface."""

    opacity: Field
    """Float32 (H, W): share of the surface's signal that is lost, 1 - (1 - albedo)^2, 0..1."""
    albedo: Field
    """Float32 (H, W): share of light thrown back by the cloud, 0..1."""
    reflectance: NDArray[np.float32]
    """Float32 (C, H, W): what the cloud adds over a black surface, top-of-atmosphere reflectance."""
    shadow: Field
    """Float32 (H, W): share of direct sunlight that the ground loses, 0..1."""
    labels: NDArray[np.uint8]
    """(H, W): 0 clear, 1 thick, 2 thin, 3 shadow."""
    bands: tuple[str, ...]
    """Names of the C channels."""


def generate_clouds(rng: np.random.Generator, height: int, width: int, settings: CloudSettings) -> CloudLayer:
    """Draw a layer of clouds.

    Args:
        rng: the only source of randomness; the same draws whatever bands are asked for.
        height: rows, pixels.
        width: columns, pixels.
        settings: kind, share, geometry and thresholds.
    """
    sun = Sun(zenith_deg=float(rng.uniform(20, 65)), azimuth_deg=float(rng.uniform(20, 170)))
    sun = settings.sun or sun
    kind = str(rng.choice(CLOUD_KINDS, p=_KIND_WEIGHTS))
    kind = settings.kind or kind
    fraction = _draw_fraction(rng) if settings.fraction is None else settings.fraction
    thin_albedo = albedo_of(settings.thin_opacity)
    index = band_index(settings.bands)
    layer = _nothing(height, width, settings.bands)
    if fraction <= 0:
        return layer
    wanted = DeckSettings(kind=kind, gsd=settings.gsd, sun=sun, fraction=fraction, thin_albedo=thin_albedo)
    for deck in draw_decks(rng, (height, width), wanted):
        layer = _stack(layer, deck, index, sun=sun, gsd=settings.gsd)
    return _labelled(layer, settings)


def composite(surface: NDArray[np.float32], clouds: CloudLayer) -> NDArray[np.float32]:
    """Shadow and cover a clear image.

    Args:
        surface: float32 (C, H, W) top-of-atmosphere reflectance in the bands of ``clouds``.
        clouds: the layer.

    Returns:
        Float32 (C, H, W). The air's own path reflectance is not shadowed; of the rest, the sky's share stays.

    Raises:
        GridError: surface and clouds differ in size or channels.
    """
    if surface.shape != clouds.reflectance.shape:
        raise GridError(
            f"surface {surface.shape} and clouds {clouds.reflectance.shape} must have the same (bands, rows, columns)"
        )
    passed = (1 - clouds.albedo) ** 2
    result = np.empty_like(surface, dtype=np.float32)
    for channel, (path, sky) in enumerate(
        zip(path_reflectance(clouds.bands), diffuse_share(clouds.bands), strict=True)
    ):
        ground = surface[channel]
        floor = np.minimum(ground, path)
        lit = floor + (ground - floor) * (1 - (1 - sky) * clouds.shadow)
        seen = lit * passed / (1 - clouds.albedo * np.minimum(lit, np.float32(0.97)))
        result[channel] = clouds.reflectance[channel] + seen
    return result


def opacity_of(albedo: Field) -> Field:
    """Opacity 1 - (1 - albedo)^2: light crosses the cloud twice."""
    return 1 - (1 - albedo) ** 2


def albedo_of(opacity: float) -> float:
    """Inverse of ``opacity_of``."""
    return 1.0 - float(np.sqrt(1.0 - opacity))


def _draw_fraction(rng: np.random.Generator) -> float:
    choice, value = float(rng.uniform()), float(rng.beta(1.1, 1.4))
    return 0.0 if choice < 0.18 else 1.0 if choice > 0.92 else value


def _nothing(height: int, width: int, bands: Sequence[str]) -> CloudLayer:
    zero = np.zeros((height, width), dtype=np.float32)
    return CloudLayer(
        opacity=zero,
        albedo=zero,
        reflectance=np.zeros((len(bands), height, width), dtype=np.float32),
        shadow=zero,
        labels=np.zeros((height, width), dtype=np.uint8),
        bands=tuple(bands),
    )


def _stack(layer: CloudLayer, deck: Deck, index: list[int], *, sun: Sun, gsd: float) -> CloudLayer:
    """Put a higher deck over the layer below, and its shadow on the ground."""
    upper = deck.albedo
    between = 1 / (1 - upper * layer.albedo)
    passed = (1 - upper) ** 2 * between
    lit = upper * deck.shade
    colour = deck.colour[index]
    reflectance: NDArray[np.float32] = (layer.reflectance * passed + lit * colour[:, None, None]).astype(np.float32)
    offset = sun.shadow_offset(height_m=deck.height_m, gsd_m=gsd)
    blocked = np.roll(deck.blocked, (offset.rows, offset.cols), (0, 1))
    shadow = 1 - (1 - layer.shadow) * (1 - soften(blocked, 2))
    albedo = upper + passed * layer.albedo
    return CloudLayer(
        opacity=opacity_of(albedo),
        albedo=albedo,
        reflectance=reflectance,
        shadow=shadow,
        labels=layer.labels,
        bands=layer.bands,
    )


def _labelled(layer: CloudLayer, settings: CloudSettings) -> CloudLayer:
    labels = np.zeros(layer.opacity.shape, dtype=np.uint8)
    labels[layer.shadow >= settings.shadow_loss] = SHADOW
    labels[layer.opacity >= settings.thin_opacity] = THIN
    labels[layer.opacity >= settings.thick_opacity] = THICK
    return CloudLayer(
        opacity=layer.opacity,
        albedo=layer.albedo,
        reflectance=layer.reflectance,
        shadow=layer.shadow,
        labels=labels,
        bands=layer.bands,
    )
