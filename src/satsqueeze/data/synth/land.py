"""Features that are painted on the ground in any biome: fields, towns, rivers, lakes, coasts, roads, woods."""

from __future__ import annotations

import numpy as np

from satsqueeze.data.synth.noise import Field, Spectrum, power_noise, quantile_of, smoothstep, soften
from satsqueeze.data.synth.parcels import PARCEL_KINDS, Parcels, divide, street_grid
from satsqueeze.data.synth.spectra import FACTORS, LAND_COVER
from satsqueeze.data.synth.surface import Canvas, Mask


def draw_parcels(canvas: Canvas, *, low_m: float, high_m: float) -> Parcels:
    """A field pattern whose typical parcel side lies between two lengths in metres."""
    size_m = float(np.exp(canvas.rng.uniform(np.log(low_m), np.log(high_m))))
    blocks = int(canvas.rng.integers(4, 12))
    return divide(canvas.rng, canvas.height, canvas.width, size_px=max(size_m / canvas.gsd, 4.0), blocks=blocks)


def paint_fields(
    canvas: Canvas, parcels: Parcels, covers: tuple[str, ...], shares: tuple[float, ...], where: Mask
) -> None:
    """Give each parcel a cover and a condition of its own, with plough lines and hedges."""
    rng = canvas.rng
    codes = np.array([LAND_COVER.index(name) for name in covers], dtype=np.uint8)
    share = np.array(shares) * rng.gamma(2.0, 1.0, len(shares))
    kinds = rng.choice(codes, PARCEL_KINDS, p=share / share.sum())
    scores = np.clip(rng.normal(0, 1, (FACTORS, PARCEL_KINDS)), -1.9, 1.9).astype(np.float32)
    lines = np.where(rng.uniform(size=PARCEL_KINDS) < 0.4, rng.uniform(0.2, 0.7, PARCEL_KINDS), 0).astype(np.float32)
    ids = parcels.ids
    np.copyto(canvas.cover, kinds[ids], where=where)
    for factor in range(FACTORS):
        score = scores[factor][ids]
        np.copyto(canvas.place[factor], np.float32(0.9) * score + np.float32(0.25) * canvas.place[factor], where=where)
    period = max(25.0 / canvas.gsd, 2.3)
    stripes = np.sin(parcels.along * np.float32(2 * np.pi / period)) * lines[ids]
    canvas.grain[0] += np.where(where, stripes, 0)
    if rng.uniform() < 0.6:
        hedge = parcels.edges & (scores[1][ids] > float(rng.uniform(-0.5, 1.2))) & where
        canvas.fill(hedge, "forest" if rng.uniform() < 0.5 else "herbaceous")


def paint_roads(canvas: Canvas, parcels: Parcels) -> None:
    """Roads along block borders and some parcel borders."""
    canvas.fill(parcels.block_edges, "road")
    if canvas.gsd <= 15 and canvas.rng.uniform() < 0.7:
        canvas.fill(parcels.edges & (parcels.ids % 7 == 0), "road")


def paint_patches(canvas: Canvas, cover: str, share: float, *, size_m: float = 2500) -> None:
    """A natural cover on ``share`` of the land, with a border between crisp and very gradual."""
    if share <= 0.005:
        return
    field = canvas.noise(size_m, float(canvas.rng.uniform(1.7, 2.4))) + np.float32(0.12) * canvas.grain[0]
    middle, half = quantile_of(field, 1 - share), float(np.exp(canvas.rng.uniform(np.log(0.05), np.log(0.9))))
    canvas.blend(cover, smoothstep(field, middle - half, middle + half))


def paint_woods(canvas: Canvas, share: float, *, size_m: float = 700) -> Mask:
    """Woods on the most suitable ``share`` of the land; returns where."""
    field = canvas.noise(size_m, 1.6)
    where = field > quantile_of(field, 1 - share)
    canvas.fill(where, "forest")
    return where


def paint_canopy(canvas: Canvas) -> None:
    """Rough crowns where there is forest, lit and shaded by the sun."""
    woods = canvas.is_cover("forest", "orchard")
    rough = canvas.noise(30, 0.4)
    canvas.grain[0] += np.where(woods, np.float32(0.45) * rough, 0)
    canvas.heights = canvas.heights + np.where(woods, np.float32(0.09 * min(canvas.gsd, 20)) * rough, 0)


def paint_town(canvas: Canvas, parcels: Parcels, share: float) -> None:
    """Built-up land where a density field is highest: plots, streets, quarters, gardens, works and big roofs."""
    if share <= 0:
        return
    rng = canvas.rng
    density = canvas.noise(2500, 1.8) + 0.3 * canvas.noise(250, 1.2)
    limit = quantile_of(density, 1 - share)
    town = density > limit
    quarter = rng.normal(0, 1, (FACTORS + 1, PARCEL_KINDS)).astype(np.float32)[:, parcels.ids]
    streets = street_grid(rng, parcels, plot_px=float(rng.uniform(14, 34)) / canvas.gsd, plots=int(rng.integers(4, 8)))
    works = street_grid(rng, parcels, plot_px=float(rng.uniform(50, 120)) / canvas.gsd, plots=3)
    industry = town & (canvas.noise(1200, 1.5) + 0.4 * quarter[0] > float(rng.uniform(0.8, 1.8)))
    canvas.fill(town, "residential")
    canvas.fill(industry, "industrial")
    houses = np.where(industry, works.houses, streets.houses)
    for factor, turn in enumerate((1, 7, 31)):
        mixed = (houses * np.float32(turn) % 1 - np.float32(0.5)) * np.float32(2.6)
        built = mixed + np.float32(0.45) * canvas.grain[factor]
        canvas.grain[factor] = np.where(town, built, canvas.grain[factor])
        canvas.place[factor] = np.where(town, np.float32(0.8) * quarter[factor + 1], canvas.place[factor])
    canvas.fill(industry & (houses > float(rng.uniform(0.75, 0.97))), "bright_roof")
    canvas.fill(town & ~industry & (houses > float(rng.uniform(0.985, 1.0))), "bright_roof")
    leafy = town & ~industry & (houses < 0.2 + 0.12 * quarter[0] - 0.1 * (density - limit))
    canvas.fill(leafy, "herbaceous" if rng.uniform() < 0.5 else "forest")
    canvas.fill(town & np.where(industry, works.street, streets.street), "road")
    canvas.fill(parcels.block_edges & town, "road")
    park = town & ((canvas.noise(600, 1.8) > 1.6) | (quarter[0] > 1.9))
    canvas.fill(park, "pasture" if rng.uniform() < 0.5 else "forest")


def paint_river(canvas: Canvas, *, width_m: float) -> None:
    """A meandering, turbid river from edge to edge with varying width and bars."""
    rng = canvas.rng
    angle = float(rng.uniform(0, np.pi))
    rows = np.arange(canvas.height, dtype=np.float32)[:, None] - canvas.height * float(rng.uniform(0.25, 0.75))
    cols = np.arange(canvas.width, dtype=np.float32)[None, :] - canvas.width * float(rng.uniform(0.25, 0.75))
    across = rows * np.float32(np.cos(angle)) - cols * np.float32(np.sin(angle))
    size = float(np.clip(2500 / canvas.gsd, 8, 0.35 * min(canvas.height, canvas.width)))
    bends = power_noise(rng, canvas.height, canvas.width, Spectrum(exponent=2.6, outer=size)) * np.float32(
        size * float(rng.uniform(0.15, 0.5))
    )
    level = across + bends
    slope = np.hypot(np.gradient(level, axis=0), np.gradient(level, axis=1)) + np.float32(0.15)
    half = np.float32(max(width_m / canvas.gsd / 2, 0.7)) * (1 + 0.25 * canvas.noise(800, 1.8))
    distance: Field = np.abs(level) / slope
    water: Mask = distance < half
    banks = (distance < half * 1.35 + 0.7) & ~water
    if rng.uniform() < 0.5:
        canvas.fill(banks, str(rng.choice(["forest", "bare_soil", "herbaceous"])))
    canvas.fill(water, "turbid_water")
    calm_water(canvas, water)


def paint_lakes(canvas: Canvas, share: float, *, size_m: float, cover: str = "water") -> Mask:
    """Lakes in the lows of a noise field; returns the water."""
    field = canvas.noise(size_m, 2.1)
    water: Mask = field < quantile_of(field, share)
    canvas.fill(water, cover)
    calm_water(canvas, water)
    return water


def calm_water(canvas: Canvas, water: Mask) -> None:
    """Water varies smoothly and little, whatever was painted there before."""
    if not water.any():
        return
    for factor in range(FACTORS):
        canvas.grain[factor][water] = np.float32(0.5) * canvas.noise(400, 1.3)[water]
        level = float(np.clip(canvas.rng.normal(0, 0.8), -1.5, 1.8))
        canvas.place[factor][water] = np.float32(level) + np.float32(0.3) * canvas.noise(2500, 2.0)[water]


def paint_coast(canvas: Canvas, share: float) -> Mask:
    """Sea with a beach, shallows, turbid plumes, glint and surf; returns the sea."""
    rng = canvas.rng
    angle = float(rng.uniform(0, 2 * np.pi))
    rows = np.linspace(-1, 1, canvas.height, dtype=np.float32)[:, None]
    cols = np.linspace(-1, 1, canvas.width, dtype=np.float32)[None, :]
    level: Field = (rows * np.float32(np.sin(angle)) + cols * np.float32(np.cos(angle))) * np.float32(
        rng.uniform(0.6, 2.0)
    )
    level = level + np.float32(rng.uniform(0.35, 1.0)) * canvas.noise(6000, float(rng.uniform(1.7, 2.4)))
    limit = quantile_of(level, share)
    depth = np.float32(limit) - level
    sea: Mask = depth > 0
    beach = float(rng.uniform(0, 0.05))
    canvas.fill((depth > -beach) & ~sea, "sand")
    canvas.fill(sea, "water")
    calm_water(canvas, sea)
    shallow = smoothstep(depth, float(rng.uniform(0.15, 0.9)), 0.0) if rng.uniform() < 0.8 else np.zeros_like(depth)
    plume = smoothstep(canvas.noise(2500, 1.9), 0.3, 2.0) * np.float32(rng.uniform(0, 1.5))
    for factor, gain in enumerate(rng.uniform(-0.5, 2.2, FACTORS)):
        murk = (shallow + plume * (rng.uniform() < 0.6)) * np.float32(gain)
        canvas.place[factor] += np.where(sea, murk, 0)
    add_glint(canvas, sea)
    surf = sea & (depth < float(rng.uniform(0.005, 0.03))) & (canvas.noise(150, 1.2) > 0.4)
    canvas.glow[surf] += np.float32(rng.uniform(0.05, 0.25))
    return sea


def add_glint(canvas: Canvas, sea: Mask) -> None:
    """Sun glint with wind streaks and swell; often none."""
    rng = canvas.rng
    strength = float(rng.choice([0.0, 0.0, rng.uniform(0.005, 0.04), rng.uniform(0.04, 0.16)]))
    if strength == 0:
        return
    angle = float(rng.uniform(0, np.pi))
    wind = canvas.noise(6000, 2.1, stretch=1.5, angle=angle)
    swell = canvas.noise(40, 0.5, stretch=1.5, angle=angle + np.pi / 2)
    glint = np.float32(strength) * np.clip(1 + 0.18 * wind + 0.12 * swell, 0, None)
    canvas.glow += np.where(sea, soften(glint), 0)


def paint_wadis(canvas: Canvas, drainage: Field, cover: str) -> None:
    """Channels where much land drains through.

    Args:
        canvas: the ground.
        drainage: float32 (H, W), 0 on crests .. 1 in the largest valley.
        cover: what lies in the channels.
    """
    rng = canvas.rng
    start = float(rng.uniform(0.3, 0.55))
    share = smoothstep(drainage + np.float32(0.03) * canvas.noise(300, 1.4), start, start + 0.12)
    canvas.blend(cover, share * np.float32(rng.uniform(0.5, 1.0)))


def paint_pivots(canvas: Canvas, cover: str, share: float) -> None:
    """Irrigated circles on a regular grid."""
    rng = canvas.rng
    side = float(rng.uniform(500, 1000)) / canvas.gsd
    rows = np.arange(canvas.height, dtype=np.float32)[:, None] / np.float32(side) + np.float32(rng.uniform())
    cols = np.arange(canvas.width, dtype=np.float32)[None, :] / np.float32(side) + np.float32(rng.uniform())
    number = (np.floor(rows) * 53 + np.floor(cols)).astype(np.int32) % 1024
    inside = np.hypot(rows % 1 - 0.5, cols % 1 - 0.5) < 0.46
    grown = rng.uniform(size=1024) < share
    where = inside & grown[number]
    canvas.fill(where, cover)
    scores = rng.normal(0, 1, (FACTORS, 1024)).astype(np.float32)
    for factor in range(FACTORS):
        canvas.place[factor] = np.where(where, scores[factor][number], canvas.place[factor])


def dust_with_snow(canvas: Canvas, amount: float) -> None:
    """Snow on open ground first; woods, towns and open water keep less of it.

    Args:
        canvas: the ground.
        amount: 0 (none) .. 1 (everything open is white).
    """
    catch = np.ones(len(LAND_COVER), dtype=np.float32)
    for name, value in (("forest", 0.25), ("residential", 0.5), ("industrial", 0.55), ("road", 0.45), ("wetland", 0.6)):
        catch[LAND_COVER.index(name)] = value
    water = float(canvas.rng.choice([0.0, 1.0]))
    for name in ("water", "turbid_water"):
        catch[LAND_COVER.index(name)] = water
    field: Field = canvas.noise(2500, 1.9) + np.float32(0.3) * canvas.grain[0]
    depth = smoothstep(field, 2.2 - 4.4 * amount, 3.4 - 4.4 * amount)
    canvas.blend("snow", depth * catch[canvas.cover])
