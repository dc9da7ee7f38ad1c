"""One deck of clouds at a time: cumulus, stratocumulus, overcast, cirrus, veil, or two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from satsqueeze.data.synth.atmosphere import BANDS
from satsqueeze.data.synth.noise import Field, Spectrum, power_noise, quantile_of, soften
from satsqueeze.data.synth.sun import Sun

CloudKind = Literal["cumulus", "stratocumulus", "overcast", "cirrus", "veil", "mixed"]
CLOUD_KINDS: tuple[CloudKind, ...] = ("cumulus", "stratocumulus", "overcast", "cirrus", "veil", "mixed")

# Reflectance of a bright deck relative to red, after clouds in clear-air top-of-atmosphere imagery: molecules above
# the cloud lift the blue, ozone lowers green and red, water and ice absorb in the short-wave infrared, and vapour above
# a low cloud darkens the absorption bands.
_LOW = (1.06, 1.03, 0.98, 1.0, 1.01, 1.02, 1.03, 1.035, 1.04, 0.55, 0.01, 0.80, 0.60)
_HIGH = (1.04, 1.02, 0.98, 1.0, 1.01, 1.02, 1.02, 1.03, 1.03, 0.85, 0.45, 0.55, 0.42)


@dataclass(frozen=True, kw_only=True)
class Deck:
    """One deck of clouds."""

    albedo: Field
    """Float32 (H, W), 0..1."""
    shade: Field
    """Float32 (H, W): brightness of the top as the sun falls on it, about 1."""
    blocked: Field
    """Float32 (H, W): share of direct sunlight taken away below the cloud, 0..1, before displacement."""
    colour: NDArray[np.float32]
    """(13,): brightness by band relative to red."""
    height_m: float
    """Height of the deck above ground, metres."""


@dataclass(frozen=True, kw_only=True)
class _Style:
    signal: Field
    """Cloud where this exceeds a threshold, which is set by the share wanted."""
    puffs: Field
    """Texture of the tops, about 0..2."""
    core: float
    """Albedo of a typical inner pixel."""
    power: float
    """How optical depth grows with the signal: below 1 crisp rims and flat tops, above 1 soft rims."""
    fringe: float
    """Decay length, in standard deviations, of the invisible rim below the threshold."""
    relief: float
    """Strength of light and dark sides."""
    brightness: float
    darkness: float
    """Share of direct sunlight that the densest cloud takes; the rest comes through its sides and gaps."""
    height_m: float
    high: bool
    """Ice cloud."""


@dataclass(frozen=True, kw_only=True)
class DeckSettings:
    """What decks are wanted."""

    kind: str
    """One of ``CLOUD_KINDS``."""
    gsd: float
    """Pixel size, metres."""
    sun: Sun
    """For light and dark sides of the tops."""
    fraction: float
    """Share of pixels whose albedo reaches ``thin_albedo``, above 0 and up to 1."""
    thin_albedo: float
    """Albedo at the visible rim."""


def draw_decks(rng: np.random.Generator, shape: tuple[int, int], settings: DeckSettings) -> list[Deck]:
    """Decks from the lowest to the highest, together covering the share wanted.

    Args:
        rng: source of randomness.
        shape: rows and columns.
        settings: what is wanted.
    """
    pair = [str(rng.choice(["cumulus", "stratocumulus"])), str(rng.choice(["cirrus", "veil"]))]
    parts = pair if settings.kind == "mixed" else [settings.kind]
    styles = [_STYLES[part](rng, shape, settings.gsd) for part in parts]
    weights = [1.0] if len(styles) == 1 else [1.0, float(rng.uniform(0.2, 1.0))]
    thresholds = _thresholds([style.signal for style in styles], weights, settings.fraction)
    jitter = [rng.normal(0, 0.005, len(BANDS)).astype(np.float32) for _ in styles]
    return [
        _deck(
            style,
            threshold,
            sun=settings.sun,
            thin_albedo=settings.thin_albedo,
            jitter=noise,
            rims=1 / len(styles) ** 2,
        )
        for style, threshold, noise in zip(styles, thresholds, jitter, strict=True)
    ]


def _thresholds(signals: list[Field], weights: list[float], fraction: float) -> list[float]:
    """Thresholds such that the union of the signals above them covers ``fraction``."""
    if len(signals) == 1 or fraction >= 1:
        return [_level(signal, fraction * weight) for signal, weight in zip(signals, weights, strict=True)]
    low, high = 0.0, 1.0
    samples = [signal[::3, ::3] for signal in signals]
    thresholds: list[float] = []
    for _ in range(9):
        middle = (low + high) / 2
        thresholds = [quantile_of(sample, 1 - middle * weight) for sample, weight in zip(samples, weights, strict=True)]
        above = [sample > value for sample, value in zip(samples, thresholds, strict=True)]
        covered = float(np.mean(above[0] | above[1]))
        low, high = (middle, high) if covered < fraction else (low, middle)
    return thresholds


def _level(signal: Field, share: float) -> float:
    """The value that ``share`` of a signal lies above; full cover keeps a margin of cloud everywhere."""
    return float(signal.min()) - 0.1 if share >= 1 else quantile_of(signal, 1 - share)


def _deck(
    style: _Style, threshold: float, *, sun: Sun, thin_albedo: float, jitter: NDArray[np.float32], rims: float
) -> Deck:
    """A deck above a threshold; ``rims`` shortens its faint rim, because two rims together would count as cloud."""
    excess = style.signal - np.float32(threshold)
    inside = np.clip(excess, 0, None)
    # Two-stream albedo of a non-absorbing cloud with asymmetry 0.85: x / (1 + x), x = 0.1 * optical depth.
    rim = thin_albedo / (1 - thin_albedo)
    depth = np.float32(rim) * np.exp(np.minimum(excess, 0) * np.float32(1 / (style.fringe * rims)))
    core = inside ** np.float32(style.power) * (np.float32(0.5) + np.float32(0.6) * style.puffs)
    typical = float(core[::3, ::3].mean()) / max(float((core[::3, ::3] > 0).mean()), 1e-3)
    core *= np.float32(style.core / (1 - style.core) / max(typical, 1e-3))
    depth = depth + core
    albedo = depth / (1 + depth)
    tops = np.sqrt(inside) + np.minimum(inside * 2, 0.5) * style.puffs
    shade = _shade(tops, sun, style.relief) * np.float32(style.brightness)
    colour = np.array(_HIGH if style.high else _LOW, dtype=np.float32) + jitter
    return Deck(
        albedo=albedo.astype(np.float32),
        shade=shade,
        blocked=(np.float32(style.darkness) * (1 - np.exp(-5 * depth))).astype(np.float32),
        colour=colour,
        height_m=style.height_m,
    )


def _shade(tops: Field, sun: Sun, strength: float) -> Field:
    """Light on the sunny side, dark on the other, 1 on the flat; float32 (H, W)."""
    tops = soften(tops, 2)
    rows = np.roll(tops, 1, 0) - np.roll(tops, -1, 0)
    cols = np.roll(tops, 1, 1) - np.roll(tops, -1, 1)
    slope = rows * np.float32(sun.rows) + cols * np.float32(sun.cols)
    slope *= np.float32(1 / max(float(slope.std()), 1e-6))
    lean = np.float32(strength * min(0.4 + 0.6 * sun.tangent, 1.2))
    result: Field = 1 + lean * slope / np.sqrt(1 + np.float32(0.35) * slope * slope)
    return np.clip(result, 0.45, 1.3)


def _pixels(metres: float, gsd: float, shape: tuple[int, int]) -> float:
    return float(np.clip(metres / gsd, 4.0, 0.7 * min(shape)))


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _cumulus(rng: np.random.Generator, shape: tuple[int, int], gsd: float) -> _Style:
    outer = _pixels(_between(rng, max(900.0, 35 * gsd), 10000), gsd, shape)
    rough = float(rng.uniform(1.9, 2.3))
    base = power_noise(rng, *shape, Spectrum(exponent=rough, outer=outer))
    groups = power_noise(rng, *shape, Spectrum(exponent=2.5, outer=_pixels(5 * outer * gsd, gsd, shape)))
    size = max(outer / float(rng.uniform(2, 5)), 6.0)
    lumps = np.abs(power_noise(rng, *shape, Spectrum(exponent=float(rng.uniform(1.9, 2.4)), outer=size)))
    signal = base + np.float32(rng.uniform(0, 1.0)) * groups
    wisps = power_noise(rng, *shape, Spectrum(exponent=1.5, outer=max(400 / gsd, 8.0)))
    signal += np.float32(rng.uniform(0.05, 0.3)) * lumps + np.float32(rng.uniform(0.02, 0.14)) * wisps
    return _Style(
        signal=signal,
        puffs=lumps,
        core=float(rng.uniform(0.4, 0.82)),
        power=float(rng.uniform(0.9, 2.0)),
        fringe=float(rng.uniform(0.05, 0.3)),
        relief=float(rng.uniform(0.06, 0.17)),
        brightness=float(rng.uniform(0.9, 1.08)),
        darkness=float(rng.uniform(0.6, 1.0)),
        height_m=float(rng.uniform(600, 3000)),
        high=False,
    )


def _stratocumulus(rng: np.random.Generator, shape: tuple[int, int], gsd: float) -> _Style:
    cell = max(_pixels(_between(rng, 500, 3000), gsd, shape), 9.0)
    angle, stretch = float(rng.uniform(0, np.pi)), float(rng.uniform(1, 2.2))
    cells = Spectrum(exponent=2.9, outer=cell, highpass=1.5 * cell, stretch=stretch, angle=angle)
    pattern = np.abs(power_noise(rng, *shape, cells)) ** np.float32(0.7)
    groups = power_noise(rng, *shape, Spectrum(exponent=2.3, outer=_pixels(8 * cell * gsd, gsd, shape)))
    fine = power_noise(rng, *shape, Spectrum(exponent=1.8, outer=cell / 1.5))
    return _Style(
        signal=1.2 * pattern + np.float32(rng.uniform(0.2, 0.9)) * groups + np.float32(rng.uniform(0.15, 0.35)) * fine,
        puffs=np.float32(0.5) + np.float32(0.5) * np.abs(fine),
        core=float(rng.uniform(0.3, 0.75)),
        power=float(rng.uniform(1.0, 1.8)),
        fringe=float(rng.uniform(0.15, 0.5)),
        relief=float(rng.uniform(0.05, 0.12)),
        brightness=float(rng.uniform(0.88, 1.05)),
        darkness=float(rng.uniform(0.6, 1.0)),
        height_m=float(rng.uniform(700, 2800)),
        high=False,
    )


def _overcast(rng: np.random.Generator, shape: tuple[int, int], gsd: float) -> _Style:
    angle, stretch = float(rng.uniform(0, np.pi)), float(rng.uniform(1, 3.5))
    outer = _pixels(_between(rng, 3000, 20000), gsd, shape)
    base = power_noise(rng, *shape, Spectrum(exponent=float(rng.uniform(2.2, 2.9)), outer=outer))
    streaks = Spectrum(exponent=float(rng.uniform(1.8, 2.3)), outer=outer / 4, stretch=stretch, angle=angle)
    fine = power_noise(rng, *shape, streaks)
    return _Style(
        signal=base + np.float32(rng.uniform(0.05, 0.5)) * fine,
        puffs=np.clip(1 + np.float32(rng.uniform(0.05, 0.4)) * fine, 0, None),
        core=float(rng.uniform(0.4, 0.9)),
        power=float(rng.uniform(0.7, 1.8)),
        fringe=float(rng.uniform(0.2, 0.8)),
        relief=float(rng.uniform(0.01, 0.07)),
        brightness=float(rng.uniform(0.9, 1.1)),
        darkness=float(rng.uniform(0.6, 1.0)),
        height_m=float(rng.uniform(1200, 5000)),
        high=bool(rng.uniform() < 0.4),
    )


def _cirrus(rng: np.random.Generator, shape: tuple[int, int], gsd: float) -> _Style:
    angle = float(rng.uniform(0, np.pi))
    outer = _pixels(_between(rng, 2500, 15000), gsd, shape)
    strands = Spectrum(
        exponent=2.1, outer=outer, inner=float(rng.uniform(0.5, 1.5)), stretch=float(rng.uniform(2, 8)), angle=angle
    )
    broad = power_noise(rng, *shape, Spectrum(exponent=3.0, outer=outer))
    base = _curled(power_noise(rng, *shape, strands), broad, 0.028 * min(shape) * float(rng.uniform(0, 1)))
    return _Style(
        signal=base + np.float32(rng.uniform(0.3, 1.2)) * broad,
        puffs=np.ones(shape, dtype=np.float32),
        core=float(rng.uniform(0.08, 0.2)),
        power=float(rng.uniform(0.8, 1.4)),
        fringe=float(rng.uniform(0.3, 0.8)),
        relief=0.0,
        brightness=float(rng.uniform(0.95, 1.1)),
        darkness=float(rng.uniform(0.6, 1.0)),
        height_m=float(rng.uniform(6500, 11000)),
        high=True,
    )


def _curled(field: Field, bend: Field, amount: float) -> Field:
    """A field displaced along both axes by another one, ``amount`` pixels per standard deviation."""
    height, width = field.shape
    shift = np.rint(bend * np.float32(amount)).astype(np.intp)
    rows = (np.arange(height)[:, None] + shift) % height
    cols = (np.arange(width)[None, :] - shift) % width
    return soften(field[rows, cols], 2)


def _veil(rng: np.random.Generator, shape: tuple[int, int], gsd: float) -> _Style:
    outer = _pixels(_between(rng, 1500, 12000), gsd, shape)
    base = power_noise(rng, *shape, Spectrum(exponent=float(rng.uniform(2.2, 3.0)), outer=outer))
    fine = power_noise(rng, *shape, Spectrum(exponent=1.9, outer=outer / 4))
    return _Style(
        signal=base + np.float32(rng.uniform(0.02, 0.25)) * fine,
        puffs=np.clip(1 + np.float32(0.2) * fine, 0, None),
        core=float(rng.uniform(0.12, 0.5)),
        power=float(rng.uniform(0.7, 1.4)),
        fringe=float(rng.uniform(0.3, 0.9)),
        relief=float(rng.uniform(0, 0.03)),
        brightness=float(rng.uniform(0.92, 1.06)),
        darkness=float(rng.uniform(0.6, 1.0)),
        height_m=float(rng.uniform(2000, 6000)),
        high=bool(rng.uniform() < 0.5),
    )


_STYLES = {
    "cumulus": _cumulus,
    "stratocumulus": _stratocumulus,
    "overcast": _overcast,
    "cirrus": _cirrus,
    "veil": _veil,
}
