"""The ground before it gets its spectra: a canvas of covers and scores, and its development into reflectance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from satsqueeze.data.synth.atmosphere import band_index, diffuse_share, path_reflectance
from satsqueeze.data.synth.noise import Field, Spectrum, power_noise
from satsqueeze.data.synth.spectra import FACTORS, LAND_COVER, spectral_table

Mask = NDArray[np.bool_]


class Canvas:
    """Mutable arrays that the painters of ``land`` fill in.

    ``cover`` is the land-cover code; ``blends`` are further covers with the share of each pixel that they hide.
    ``place`` and ``grain`` are scores (in standard deviations) along the cover's main directions of variation, from
    place to place and from pixel to pixel. ``glow`` is an additive, spectrally flat reflectance such as sun glint,
    ``heights`` the terrain in metres.
    """

    def __init__(self, rng: np.random.Generator, height: int, width: int, gsd: float) -> None:
        self.rng, self.height, self.width, self.gsd = rng, height, width, gsd
        self.cover = np.zeros((height, width), dtype=np.uint8)
        self.place = np.zeros((FACTORS, height, width), dtype=np.float32)
        self.place[:2] = [0.5 * self.noise(1500, 1.8), 0.6 * self.noise(900, 1.6)]
        self.place += np.clip(rng.normal(0, 0.85, FACTORS), -1.7, 1.7).astype(np.float32)[:, None, None]
        self.grain = np.stack([self.noise(150, 1.4), self.noise(80, 1.1), self.noise(40, 0.7)])
        self.grain *= np.float32(0.85 * min(10.0 / gsd, 1.0) ** 0.5)  # coarser pixels average the texture out
        self.blends: list[tuple[int, Field]] = []
        self.glow = np.zeros((height, width), dtype=np.float32)
        self.heights = np.zeros((height, width), dtype=np.float32)

    def noise(self, outer_m: float, exponent: float, *, stretch: float = 1.0, angle: float = 0.0) -> Field:
        """Unit-variance noise with an outer scale in metres, limited to the image."""
        outer = float(np.clip(outer_m / self.gsd, 2.0, 0.7 * min(self.height, self.width)))
        spectrum = Spectrum(exponent=exponent, outer=outer, stretch=stretch, angle=angle)
        return power_noise(self.rng, self.height, self.width, spectrum)

    def fill(self, where: Mask, cover: str) -> None:
        """Set the land cover of the pixels where ``where`` is True."""
        self.cover[where] = LAND_COVER.index(cover)
        for _, share in self.blends:
            share[where] = 0

    def blend(self, cover: str, share: Field) -> None:
        """Cover a share (0..1, float32 (H, W)) of each pixel, over everything painted so far: soft borders, snow."""
        self.blends.append((LAND_COVER.index(cover), share))

    def dominant(self) -> NDArray[np.uint8]:
        """(H, W) code of what is seen at each pixel: the last blend that hides more than half of it, else the cover."""
        code = self.cover.copy()
        for blended, share in self.blends:
            code[share > 0.5] = blended
        return code

    def is_cover(self, *covers: str) -> Mask:
        """(H, W) True where the land cover is one of ``covers``."""
        wanted = np.isin(np.arange(len(LAND_COVER)), [LAND_COVER.index(name) for name in covers])
        result: Mask = wanted[self.cover]
        return result


def develop(canvas: Canvas, bands: Sequence[str], light: Field) -> NDArray[np.float32]:
    """Turn covers and scores into top-of-atmosphere reflectance under clear air.

    Args:
        canvas: the painted ground.
        bands: common names.
        light: (H, W) direct sunlight relative to flat ground.

    Returns:
        Float32 (C, H, W).
    """
    table = spectral_table()
    place, grain = np.clip(canvas.place, -2, 2), np.clip(canvas.grain, -3, 3)
    present = np.bincount(canvas.cover.ravel(), minlength=len(LAND_COVER)) > 0
    reflectance = np.empty((len(bands), canvas.height, canvas.width), dtype=np.float32)
    for channel, band in enumerate(band_index(bands)):
        values = table.mean[:, band][canvas.cover]
        for factor in range(FACTORS):
            for spread, score in ((table.between, place), (table.within, grain)):
                weight = spread[:, factor, band]
                if np.abs(weight[present]).max() > 2e-4:
                    values += weight[canvas.cover] * score[factor]
        for code, share in canvas.blends:
            over = np.full(values.shape, table.mean[code, band], dtype=np.float32)
            for factor in range(FACTORS):
                for spread, score in ((table.between, place), (table.within, grain)):
                    if abs(float(spread[code, factor, band])) > 2e-4:
                        over += spread[code, factor, band] * score[factor]
            values += share * (over - values)
        floor = path_reflectance(bands)[channel]
        sky = diffuse_share(bands)[channel]
        ground = np.maximum(values - floor, np.float32(0.03) * floor)
        reflectance[channel] = floor + ground * (sky + (1 - sky) * light) + canvas.glow * np.float32(GLINT[band])
    return reflectance


# Sun glint and foam: flat, dimmed by the air in the blue and by vapour in the absorption bands.
GLINT = (0.85, 0.9, 0.95, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.45, 0.01, 1.0, 0.95)
