"""Recipes: which features make a biome."""

from __future__ import annotations

from typing import Literal

import numpy as np

from satsqueeze.data.synth import land
from satsqueeze.data.synth.noise import quantile_of, smoothstep
from satsqueeze.data.synth.relief import dune_heights, hill_heights, mountain_heights
from satsqueeze.data.synth.surface import Canvas

Biome = Literal["farmland", "forest", "urban", "coast", "wetland", "desert", "snow", "mountain", "savanna"]
BIOMES: tuple[Biome, ...] = (
    "farmland", "forest", "urban", "coast", "wetland", "desert", "snow", "mountain", "savanna",
)  # fmt: skip

SUN_ZENITH: dict[str, tuple[float, float]] = {"snow": (45, 78), "desert": (15, 55), "savanna": (20, 50)}
"""Range of the sun's zenith angle, degrees, where it differs from (25, 65)."""


def paint(canvas: Canvas, biome: str) -> None:
    """Paint a whole scene, with relief and, now and then, a cover of fresh snow."""
    _RECIPES[biome](canvas)
    land.paint_canopy(canvas)
    if biome in ("farmland", "forest", "urban", "wetland") and canvas.rng.uniform() < 0.1:
        land.dust_with_snow(canvas, float(canvas.rng.uniform(0.3, 1.0)))


def _hills(canvas: Canvas, low_m: float, high_m: float) -> None:
    amplitude = float(canvas.rng.uniform(low_m, high_m))
    canvas.heights = hill_heights(canvas.rng, canvas.height, canvas.width, gsd=canvas.gsd, amplitude_m=amplitude)


def _farmland(canvas: Canvas) -> None:
    rng = canvas.rng
    parcels = land.draw_parcels(canvas, low_m=90, high_m=500)
    everywhere = np.ones(canvas.cover.shape, dtype=bool)
    covers = ("crop", "bare_soil", "pasture", "herbaceous", "orchard")
    land.paint_fields(canvas, parcels, covers, (3, 2.5, 1, 0.7, 0.7), everywhere)
    land.paint_woods(canvas, float(rng.uniform(0.0, 0.25)))
    land.paint_roads(canvas, parcels)
    land.paint_town(canvas, parcels, float(rng.choice([0.0, rng.uniform(0.01, 0.12)])))
    if rng.uniform() < 0.4:
        land.paint_river(canvas, width_m=float(rng.uniform(15, 250)))
    _hills(canvas, 0, 60)


def _forest(canvas: Canvas) -> None:
    rng = canvas.rng
    canvas.fill(np.ones(canvas.cover.shape, dtype=bool), "forest")
    parcels = land.draw_parcels(canvas, low_m=150, high_m=500)
    cleared = parcels.ids % 100 < int(rng.choice([0, 6, 18]))
    land.paint_fields(canvas, parcels, ("herbaceous", "pasture", "bare_soil"), (3, 1, 0.5), cleared)
    heath = canvas.noise(2500, 1.9)
    open_land = heath > quantile_of(heath, 1 - float(rng.uniform(0, 0.3)))
    canvas.fill(open_land & ~cleared, "herbaceous")
    if rng.uniform() < 0.5:
        land.paint_lakes(canvas, float(rng.uniform(0.01, 0.15)), size_m=2500)
    if rng.uniform() < 0.5:
        land.paint_river(canvas, width_m=float(rng.uniform(20, 500)))
    _hills(canvas, 20, 450)


def _urban(canvas: Canvas) -> None:
    rng = canvas.rng
    parcels = land.draw_parcels(canvas, low_m=120, high_m=350)
    everywhere = np.ones(canvas.cover.shape, dtype=bool)
    land.paint_fields(canvas, parcels, ("crop", "pasture", "herbaceous", "bare_soil"), (1, 1, 1, 0.6), everywhere)
    land.paint_woods(canvas, float(rng.uniform(0.02, 0.2)))
    land.paint_town(canvas, parcels, float(rng.uniform(0.4, 0.95)))
    if rng.uniform() < 0.5:
        land.paint_river(canvas, width_m=float(rng.uniform(40, 400)))
    _hills(canvas, 0, 40)


def _coast(canvas: Canvas) -> None:
    inland = str(canvas.rng.choice(["farmland", "forest", "savanna", "desert", "urban"]))
    _RECIPES[inland](canvas)
    sea = land.paint_coast(canvas, float(canvas.rng.choice([canvas.rng.uniform(0.3, 0.8), 1.0], p=[0.8, 0.2])))
    canvas.heights[sea] = float(np.median(canvas.heights))


def _wetland(canvas: Canvas) -> None:
    rng = canvas.rng
    canvas.fill(np.ones(canvas.cover.shape, dtype=bool), "wetland")
    land.paint_woods(canvas, float(rng.uniform(0.0, 0.5)), size_m=1500)
    grass = canvas.noise(1200, 1.6) > 0.6
    canvas.fill(grass, str(rng.choice(["herbaceous", "dry_grass"])))
    land.paint_lakes(canvas, float(rng.uniform(0.05, 0.4)), size_m=float(rng.uniform(500, 4000)))
    if rng.uniform() < 0.6:
        land.paint_river(canvas, width_m=float(rng.uniform(40, 500)))
    if rng.uniform() < 0.25:
        _freeze(canvas)


def _freeze(canvas: Canvas) -> None:
    """Ice on the larger lakes, cracked and partly snowed on."""
    water = canvas.is_cover("water", "turbid_water")
    ice = water & (canvas.noise(3000, 1.8) > -0.5)
    canvas.fill(ice, "ice")
    cracks = np.abs(canvas.noise(800, 1.5)) < 0.03
    canvas.grain[0] -= np.where(ice & cracks, 6, 0).astype(np.float32)
    canvas.snow = np.maximum(canvas.snow, np.where(ice, smoothstep(canvas.noise(1500, 1.5), 0, 3.0), 0))


def _desert(canvas: Canvas) -> None:
    rng = canvas.rng
    ground = str(rng.choice(["sand", "sand", "rock", "red_soil"]))
    canvas.fill(np.ones(canvas.cover.shape, dtype=bool), ground)
    if ground == "sand" and rng.uniform() < 0.6:
        canvas.heights = dune_heights(rng, canvas.height, canvas.width, gsd=canvas.gsd)
    else:
        _hills(canvas, 0, 150)
    stone = canvas.noise(3000, 1.7)
    canvas.fill(stone > quantile_of(stone, 1 - float(rng.uniform(0, 0.45))), "rock")
    if rng.uniform() < 0.6:
        land.paint_channels(canvas, "sand" if ground != "sand" else "red_soil", size_m=2500, width=0.05)
    if rng.uniform() < 0.3:
        land.paint_lakes(canvas, float(rng.uniform(0.03, 0.6)), size_m=5000, cover="salt_flat")
    if rng.uniform() < 0.15:
        land.paint_pivots(canvas, "crop", float(rng.uniform(0.2, 0.9)))


def _savanna(canvas: Canvas) -> None:
    rng = canvas.rng
    canvas.fill(np.ones(canvas.cover.shape, dtype=bool), "dry_grass")
    soil = canvas.noise(1500, 1.5)
    canvas.fill(soil > quantile_of(soil, 1 - float(rng.uniform(0, 0.4))), "red_soil")
    shrubs = canvas.noise(60, 0.8) + 0.6 * canvas.noise(2000, 1.6)
    canvas.fill(shrubs > quantile_of(shrubs, 1 - float(rng.uniform(0.05, 0.4))), "herbaceous")
    land.paint_channels(canvas, "forest" if rng.uniform() < 0.5 else "herbaceous", size_m=2500, width=0.06)
    if rng.uniform() < 0.4:
        burnt = canvas.noise(2500, 1.6)
        canvas.fill(burnt > quantile_of(burnt, 1 - float(rng.uniform(0.03, 0.25))), "burnt")
    if rng.uniform() < 0.4:
        parcels = land.draw_parcels(canvas, low_m=60, high_m=300)
        tilled = canvas.noise(2500, 1.8) > 0.3
        land.paint_fields(canvas, parcels, ("dry_grass", "red_soil", "bare_soil", "crop"), (2, 1, 1, 0.5), tilled)
    _hills(canvas, 0, 200)


def _mountain(canvas: Canvas) -> None:
    rng = canvas.rng
    amplitude = float(rng.uniform(700, 2600))
    canvas.heights = mountain_heights(rng, canvas.height, canvas.width, gsd=canvas.gsd, amplitude_m=amplitude)
    level = canvas.heights + np.float32(0.05 * amplitude) * canvas.noise(800, 1.5)
    low, high = quantile_of(level, float(rng.uniform(0.0, 0.6))), quantile_of(level, float(rng.uniform(0.5, 1.0)))
    canvas.fill(np.ones(canvas.cover.shape, dtype=bool), "rock")
    canvas.fill(level < max(low, high), "herbaceous" if rng.uniform() < 0.6 else "dry_grass")
    canvas.fill(level < low, str(rng.choice(["forest", "forest", "herbaceous", "rock"])))
    line = quantile_of(level, float(rng.choice([rng.uniform(0, 1), rng.uniform(0.2, 0.7)])))
    width = 0.15 * amplitude
    canvas.snow = smoothstep(level, line - width, line + width)
    canvas.snow *= smoothstep(canvas.noise(200, 1.2), -3.0, -0.8)
    if rng.uniform() < 0.4:
        floor = canvas.heights < quantile_of(canvas.heights, float(rng.uniform(0.01, 0.06)))
        canvas.fill(floor, "water")
        land.calm_water(canvas, floor)


def _snow(canvas: Canvas) -> None:
    rng = canvas.rng
    canvas.fill(np.ones(canvas.cover.shape, dtype=bool), "snow")
    kind = int(rng.integers(0, 4))
    if kind == 0:
        _hills(canvas, 0, 40)
        canvas.heights += canvas.noise(150, 1.2, stretch=3, angle=float(rng.uniform(0, np.pi))) * np.float32(
            rng.uniform(0.02, 0.12) * canvas.gsd
        )
    elif kind == 1:
        canvas.fill(canvas.noise(4000, 1.8) > -0.2, "ice")
        _hills(canvas, 0, 60)
        ponds = canvas.noise(700, 1.7) > 2.2
        canvas.fill(ponds, "water")
        canvas.place[:, ponds] += np.float32(1.5)
    elif kind == 2:
        floes = canvas.noise(2500, 1.5)
        canvas.fill(floes > quantile_of(floes, float(rng.uniform(0.3, 0.9))), "water")
        canvas.fill(np.abs(canvas.noise(2500, 1.6)) < 0.05, "water")
        canvas.fill(canvas.is_cover("snow") & (canvas.noise(1500, 1.6) > 0.8), "ice")
    else:
        amplitude = float(rng.uniform(200, 1500))
        canvas.heights = mountain_heights(rng, canvas.height, canvas.width, gsd=canvas.gsd, amplitude_m=amplitude)
        canvas.fill(canvas.noise(600, 1.4) > float(rng.uniform(1.3, 3.0)), "rock")
    canvas.grain *= np.float32(rng.uniform(0.5, 1.5))


_RECIPES = {
    "farmland": _farmland,
    "forest": _forest,
    "urban": _urban,
    "coast": _coast,
    "wetland": _wetland,
    "desert": _desert,
    "snow": _snow,
    "mountain": _mountain,
    "savanna": _savanna,
}
