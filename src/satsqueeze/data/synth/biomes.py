"""Recipes: which features make a biome."""

from __future__ import annotations

from typing import Literal

import numpy as np

from satsqueeze.data.synth import land
from satsqueeze.data.synth.erosion import carve
from satsqueeze.data.synth.noise import Field, quantile_of, smoothstep
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
    if rng.uniform() < 0.6:
        land.paint_patches(canvas, str(rng.choice(["herbaceous", "pasture", "wetland"])), float(rng.uniform(0, 0.35)))
    if rng.uniform() < 0.5:
        land.paint_lakes(canvas, float(rng.uniform(0.01, 0.15)), size_m=2500)
    if rng.uniform() < 0.5:
        land.paint_river(canvas, width_m=float(rng.uniform(20, 500)))
    if rng.uniform() < 0.5:
        _rugged(canvas, 50, 900)
    else:
        _hills(canvas, 10, 250)


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
    land.paint_patches(canvas, str(rng.choice(["herbaceous", "dry_grass"])), float(rng.uniform(0, 0.6)), size_m=1500)
    land.paint_woods(canvas, float(rng.uniform(0.0, 0.4)), size_m=1500)
    share, size = float(rng.uniform(0.03, 0.35)), float(rng.uniform(500, 4000))
    land.paint_lakes(canvas, share, size_m=size, cover=str(rng.choice(["water", "turbid_water"])))
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
    canvas.grain[0] -= np.where(ice & cracks, 2.5, 0).astype(np.float32)
    canvas.blend("snow", np.where(ice, smoothstep(canvas.noise(1500, 1.5), -0.5, 3.5), 0))


def _desert(canvas: Canvas) -> None:
    rng = canvas.rng
    ground = str(rng.choice(["sand", "sand", "rock", "red_soil", "bare_soil"]))
    canvas.fill(np.ones(canvas.cover.shape, dtype=bool), ground)
    drainage = canvas.heights
    dunes = ground == "sand" and rng.uniform() < 0.6
    if dunes:
        canvas.heights = dune_heights(rng, canvas.height, canvas.width, gsd=canvas.gsd)
    else:
        drainage = _rugged(canvas, 20, 500)
    for cover, most in (("rock", 0.5), ("red_soil", 0.3), ("sand", 0.4), ("bare_soil", 0.3)):
        if cover != ground and rng.uniform() < (0.3 if dunes else 0.6):
            land.paint_patches(canvas, cover, float(rng.uniform(0, most)), size_m=float(rng.uniform(800, 5000)))
    if not dunes and rng.uniform() < 0.7:
        land.paint_wadis(canvas, drainage, "sand" if ground != "sand" else "bare_soil")
    if rng.uniform() < 0.3:
        land.paint_patches(canvas, "salt_flat", float(rng.uniform(0.03, 0.7)), size_m=5000)
    if rng.uniform() < 0.12:
        land.paint_pivots(canvas, "crop", float(rng.uniform(0.2, 0.9)))
    if rng.uniform() < 0.25:
        parcels = land.draw_parcels(canvas, low_m=300, high_m=900)
        land.paint_roads(canvas, parcels)


def _rugged(canvas: Canvas, low_m: float, high_m: float) -> Field:
    """Hills with ridges and gullies; returns the drainage, 0..1."""
    amplitude = float(np.exp(canvas.rng.uniform(np.log(low_m), np.log(high_m))))
    carved = carve(canvas.rng, canvas.height, canvas.width)
    canvas.heights = mountain_heights(canvas.rng, carved, gsd=canvas.gsd, amplitude_m=amplitude)
    return carved.drainage


def _savanna(canvas: Canvas) -> None:
    rng = canvas.rng
    canvas.fill(np.ones(canvas.cover.shape, dtype=bool), "dry_grass")
    land.paint_patches(canvas, "red_soil", float(rng.uniform(0, 0.5)), size_m=1800)
    land.paint_patches(canvas, "bare_soil", float(rng.uniform(0, 0.3)), size_m=1800)
    land.paint_patches(canvas, "herbaceous", float(rng.uniform(0, 0.5)), size_m=2500)
    scrub = smoothstep(canvas.noise(40, 0.6) + canvas.noise(2000, 1.6), 0.2, 2.6) * np.float32(rng.uniform(0.2, 0.9))
    canvas.blend("forest", scrub)
    if rng.uniform() < 0.5:
        land.paint_wadis(canvas, _rugged(canvas, 20, 250), "forest" if rng.uniform() < 0.5 else "herbaceous")
    else:
        _hills(canvas, 0, 100)
    if rng.uniform() < 0.4:
        land.paint_patches(canvas, "burnt", float(rng.uniform(0.03, 0.3)))
    if rng.uniform() < 0.4:
        parcels = land.draw_parcels(canvas, low_m=60, high_m=300)
        tilled = canvas.noise(2500, 1.8) > 0.3
        land.paint_fields(canvas, parcels, ("dry_grass", "red_soil", "bare_soil", "crop"), (2, 1, 1, 0.5), tilled)


def _mountain(canvas: Canvas) -> None:
    rng = canvas.rng
    amplitude = float(rng.uniform(900, 3000))
    carved = carve(rng, canvas.height, canvas.width)
    canvas.heights = mountain_heights(rng, carved, gsd=canvas.gsd, amplitude_m=amplitude)
    level = canvas.heights + np.float32(0.06 * amplitude) * canvas.noise(800, 1.5)
    steep = np.hypot(*np.gradient(canvas.heights, canvas.gsd))
    canvas.fill(np.ones(canvas.cover.shape, dtype=bool), "rock")
    _belt(canvas, level, "dry_grass" if rng.uniform() < 0.4 else "herbaceous", float(rng.uniform(0.3, 1.0)))
    _belt(canvas, level, str(rng.choice(["forest", "forest", "herbaceous", "bare_soil"])), float(rng.uniform(0.0, 0.7)))
    line = quantile_of(level, float(rng.choice([rng.uniform(0, 1.1), rng.uniform(0.1, 0.7)])))
    width = float(rng.uniform(0.03, 0.2)) * amplitude
    snow = smoothstep(level, line - width, line + width)
    snow *= smoothstep(steep + np.float32(0.2) * canvas.grain[0], 1.9, 0.9) * np.float32(0.85) + np.float32(0.15)
    canvas.blend("snow", snow)
    if rng.uniform() < 0.3:
        floor = canvas.heights < quantile_of(canvas.heights, float(rng.uniform(0.01, 0.06)))
        canvas.fill(floor, "water")
        canvas.heights[floor] = canvas.heights[floor].max(initial=0)
        land.calm_water(canvas, floor)
    elif rng.uniform() < 0.5:
        land.paint_wadis(canvas, carved.drainage, "turbid_water" if rng.uniform() < 0.5 else "rock")


def _belt(canvas: Canvas, level: Field, cover: str, share: float) -> None:
    """A belt of vegetation below a height, with a ragged upper border."""
    line, width = quantile_of(level, share), 0.12 * float(level.std()) + 1
    canvas.blend(cover, smoothstep(level, line + width, line - width))


def _snow(canvas: Canvas) -> None:
    rng = canvas.rng
    canvas.fill(np.ones(canvas.cover.shape, dtype=bool), "snow")
    _SNOWSCAPES[int(rng.integers(0, len(_SNOWSCAPES)))](canvas)
    canvas.grain *= np.float32(rng.uniform(0.5, 1.5))


def _ice_sheet(canvas: Canvas) -> None:
    """Plain snow with wind ripples."""
    rng = canvas.rng
    _hills(canvas, 0, 40)
    ripples = canvas.noise(200, 1.3, stretch=3, angle=float(rng.uniform(0, np.pi)))
    canvas.heights += ripples * np.float32(rng.uniform(0.01, 0.08) * canvas.gsd)
    if rng.uniform() < 0.4:
        land.paint_patches(canvas, "ice", float(rng.uniform(0.1, 0.6)), size_m=5000)


def _melting_ice(canvas: Canvas) -> None:
    """Bare ice with streaks of snow and blue melt ponds."""
    rng = canvas.rng
    canvas.fill(np.ones(canvas.cover.shape, dtype=bool), "ice")
    _hills(canvas, 0, 50)
    land.paint_patches(canvas, "snow", float(rng.uniform(0.1, 0.6)), size_m=3000)
    ponds = smoothstep(canvas.noise(600, 1.8), 2.0, 3.0) * np.float32(0.85)
    canvas.blend("water", ponds)


def _sea_ice(canvas: Canvas) -> None:
    """Floes with leads of open water and thin grey ice."""
    rng = canvas.rng
    land.paint_patches(canvas, "ice", float(rng.uniform(0.1, 0.6)), size_m=1500)
    open_water = canvas.noise(2500, 1.5)
    canvas.fill(open_water > quantile_of(open_water, float(rng.uniform(0.4, 1.0))), "water")
    canvas.fill(np.abs(canvas.noise(2500, 1.6)) < float(rng.uniform(0.005, 0.05)), "water")


def _snowy_mountains(canvas: Canvas) -> None:
    """Snow to the valley floors, rock on steep faces."""
    rng = canvas.rng
    _rugged(canvas, 150, 1800)
    steep = np.hypot(*np.gradient(canvas.heights, canvas.gsd)) + np.float32(0.25) * canvas.noise(300, 1.3)
    canvas.blend("rock", smoothstep(steep, 0.8, 1.6) * np.float32(rng.uniform(0.3, 1)))


def _snowy_country(canvas: Canvas) -> None:
    """Farmland and woods under snow, lakes frozen."""
    rng = canvas.rng
    _RECIPES[str(rng.choice(["farmland", "forest", "wetland"]))](canvas)
    land.paint_lakes(canvas, float(rng.uniform(0.02, 0.2)), size_m=3000)
    land.dust_with_snow(canvas, float(rng.uniform(0.75, 1.1)))


_SNOWSCAPES = (_ice_sheet, _melting_ice, _sea_ice, _snowy_mountains, _snowy_country)


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
