import numpy as np
import pytest

from satsqueeze.core.errors import BandError, GridError, SettingsError
from satsqueeze.data.synth import CLOUD_KINDS, CloudLayer, CloudSettings, Sun, composite, generate_clouds
from satsqueeze.data.synth.atmosphere import BANDS, diffuse_share, path_reflectance
from satsqueeze.data.synth.clouds import albedo_of, opacity_of
from satsqueeze.data.synth.noise import soften, stream

RGBN = ("blue", "green", "red", "nir")


def layer(kind: str, fraction: float, *, seed: int = 0, sun: Sun | None = None, size: int = 128) -> CloudLayer:
    settings = CloudSettings(kind=kind, fraction=fraction, sun=sun)  # type: ignore[arg-type]
    return generate_clouds(stream(seed, "clouds"), size, size, settings)


@pytest.mark.parametrize("kind", CLOUD_KINDS)
def test_labels_follow_from_opacity_and_shadow(kind: str) -> None:
    clouds = layer(kind, 0.5, seed=3)
    np.testing.assert_array_equal(clouds.labels == 1, clouds.opacity >= 0.42)
    np.testing.assert_array_equal(clouds.labels == 2, (clouds.opacity >= 0.12) & (clouds.opacity < 0.42))
    np.testing.assert_array_equal(clouds.labels == 3, (clouds.opacity < 0.12) & (clouds.shadow >= 0.35))
    assert clouds.opacity.min() >= 0
    assert clouds.opacity.max() < 1
    assert clouds.shadow.min() >= 0
    assert clouds.shadow.max() <= 1
    for values in (clouds.opacity, clouds.albedo, clouds.reflectance, clouds.shadow):
        assert values.dtype == np.float32
        assert np.isfinite(values).all()


@pytest.mark.parametrize("kind", CLOUD_KINDS)
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.7, 1.0])
def test_cloud_fraction_is_met(kind: str, fraction: float) -> None:
    clouds = layer(kind, fraction, seed=5)
    assert np.isin(clouds.labels, (1, 2)).mean() == pytest.approx(fraction, abs=0.06)


def test_no_clouds_leave_the_surface_as_it_is() -> None:
    surface = np.random.default_rng(0).uniform(0.02, 0.6, (4, 32, 32)).astype(np.float32)
    clouds = generate_clouds(stream(0, "c"), 32, 32, CloudSettings(fraction=0.0))
    np.testing.assert_allclose(composite(surface, clouds), surface, rtol=1e-6)


@pytest.mark.parametrize(
    ("azimuth", "rows", "cols"), [(0, 100, 0), (90, 0, -100), (180, -100, 0), (270, 0, 100), (135, -71, -71)]
)
def test_shadows_fall_away_from_the_sun(azimuth: float, rows: int, cols: int) -> None:
    offset = Sun(zenith_deg=45, azimuth_deg=azimuth).shadow_offset(height_m=1000, gsd_m=10)
    assert (offset.rows, offset.cols) == (rows, cols)


def test_shadow_length_is_height_times_tangent() -> None:
    offset = Sun(zenith_deg=60, azimuth_deg=180).shadow_offset(height_m=900, gsd_m=30)
    assert offset.rows == -round(900 * np.sqrt(3) / 30)


@pytest.mark.parametrize("seed", range(4))
def test_shadow_is_the_displaced_cloud(seed: int) -> None:
    sun = Sun(zenith_deg=50, azimuth_deg=130)
    clouds = layer("cumulus", 0.3, seed=seed, sun=sun, size=512)
    blocked = 1 - np.exp(-5 * clouds.albedo / (1 - clouds.albedo))
    spectrum = np.conj(np.fft.rfft2(blocked)) * np.fft.rfft2(clouds.shadow)
    peak = np.unravel_index(np.argmax(np.fft.irfft2(spectrum, s=blocked.shape)), blocked.shape)
    rows, cols = ((int(value) + 256) % 512 - 256 for value in peak)
    expected = soften(np.roll(blocked, (rows, cols), (0, 1)), 2)
    darkness = float(clouds.shadow.max() / expected.max())
    assert 0.6 <= darkness <= 1
    np.testing.assert_allclose(clouds.shadow, darkness * expected, atol=0.01)
    length = np.hypot(rows, cols) * 10
    assert 600 - 15 <= length / np.tan(np.deg2rad(50)) <= 3000 + 15
    assert (rows / length * 10, cols / length * 10) == pytest.approx((-sun.rows, -sun.cols), abs=0.03)


def made_by_hand(albedo: float, shadow: float, top: float) -> CloudLayer:
    plane = np.ones((2, 2), dtype=np.float32)
    return CloudLayer(
        opacity=opacity_of(plane * albedo),
        albedo=plane * albedo,
        reflectance=np.full((4, 2, 2), top, dtype=np.float32),
        shadow=plane * shadow,
        labels=np.zeros((2, 2), dtype=np.uint8),
        bands=RGBN,
    )


def test_composite_is_the_adding_formula() -> None:
    surface = np.full((4, 2, 2), 0.3, dtype=np.float32)
    seen = composite(surface, made_by_hand(0.4, 0.0, 0.25))
    np.testing.assert_allclose(seen, 0.25 + 0.6**2 * 0.3 / (1 - 0.4 * 0.3), rtol=1e-5)


def test_full_shadow_keeps_path_and_sky_light() -> None:
    surface = np.full((4, 2, 2), 0.3, dtype=np.float32)
    seen = composite(surface, made_by_hand(0.0, 1.0, 0.0))[:, 0, 0]
    path = path_reflectance(RGBN)
    np.testing.assert_allclose(seen, path + (0.3 - path) * diffuse_share(RGBN), rtol=1e-5)


def test_shadow_never_brightens_and_dark_water_stays() -> None:
    surface = np.full((4, 2, 2), 0.005, dtype=np.float32)
    np.testing.assert_allclose(composite(surface, made_by_hand(0.0, 1.0, 0.0)), surface, rtol=1e-5)


def test_a_white_cloud_over_snow_does_not_darken_it() -> None:
    surface = np.full((4, 2, 2), 0.85, dtype=np.float32)
    assert composite(surface, made_by_hand(0.3, 0.0, 0.3)).min() > 0.84


def test_albedo_and_opacity_are_inverse() -> None:
    assert opacity_of(np.float32(albedo_of(0.37))) == pytest.approx(0.37)


def test_bands_do_not_change_each_other() -> None:
    full = generate_clouds(stream(9, "c"), 64, 64, CloudSettings(bands=BANDS))
    part = generate_clouds(stream(9, "c"), 64, 64, CloudSettings(bands=("nir", "blue")))
    np.testing.assert_array_equal(part.reflectance[0], full.reflectance[BANDS.index("nir")])
    np.testing.assert_array_equal(part.reflectance[1], full.reflectance[BANDS.index("blue")])
    np.testing.assert_array_equal(part.labels, full.labels)


def test_thick_tops_are_bright_and_nearly_flat() -> None:
    surface = np.full((4, 128, 128), 0.1, dtype=np.float32)
    for seed in range(6):
        clouds = layer("cumulus", 0.5, seed=seed)
        tops = np.median(composite(surface, clouds)[:, clouds.labels == 1], axis=1)
        assert 0.3 < tops[2] < 1.1
        np.testing.assert_allclose(tops / tops[2], 1, atol=0.12)


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "fog"},
        {"fraction": 1.2},
        {"fraction": -0.1},
        {"gsd": 0.0},
        {"thin_opacity": 0.6},
        {"thick_opacity": 1.0},
        {"shadow_loss": 0.0},
    ],
)
def test_impossible_settings_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        CloudSettings(**bad)  # type: ignore[arg-type]


def test_unknown_band_is_refused() -> None:
    with pytest.raises(BandError):
        CloudSettings(bands=("blue", "lwir11"))


def test_sun_below_the_horizon_is_refused() -> None:
    with pytest.raises(SettingsError, match="zenith"):
        Sun(zenith_deg=95, azimuth_deg=0)


def test_unequal_sizes_are_refused() -> None:
    with pytest.raises(GridError, match="same"):
        composite(np.zeros((4, 3, 3), dtype=np.float32), made_by_hand(0.1, 0.1, 0.1))
