import hashlib

import numpy as np
import pytest

from satsqueeze.core.errors import BandError, SettingsError
from satsqueeze.data.synth import BIOMES, LAND_COVER, SceneSettings, SynthScene, generate_scene
from satsqueeze.data.synth.atmosphere import BANDS, path_reflectance
from satsqueeze.data.synth.biomes import paint
from satsqueeze.data.synth.noise import stream
from satsqueeze.data.synth.sensor import expose, swath
from satsqueeze.data.synth.spectra import spectral_table
from satsqueeze.data.synth.surface import Canvas, develop

SMALL = {"height": 96, "width": 80}


def digest(scene: SynthScene) -> str:
    joined = b"".join(part.tobytes() for part in (scene.reflectance, scene.labels, scene.land_cover, scene.valid))
    return hashlib.sha256(joined).hexdigest()


@pytest.mark.parametrize("biome", BIOMES)
def test_same_settings_same_bytes(biome: str) -> None:
    settings = SceneSettings(seed=11, biome=biome, **SMALL)  # type: ignore[arg-type]
    scene = generate_scene(settings)
    assert digest(scene) == digest(generate_scene(settings))
    assert digest(scene) != digest(generate_scene(SceneSettings(seed=12, biome=biome, **SMALL)))  # type: ignore[arg-type]


@pytest.mark.parametrize("biome", BIOMES)
def test_scene_is_consistent(biome: str) -> None:
    scene = generate_scene(SceneSettings(seed=2, biome=biome, nodata_probability=1.0, **SMALL))  # type: ignore[arg-type]
    assert scene.reflectance.shape == (4, 96, 80)
    assert scene.reflectance.dtype == np.float32
    assert scene.labels.dtype == scene.land_cover.dtype == np.uint8
    assert scene.biome == biome
    assert 0 < scene.valid.mean() < 1
    assert (scene.reflectance[:, ~scene.valid] == 0).all()
    np.testing.assert_array_equal(scene.labels == 255, ~scene.valid)
    np.testing.assert_array_equal(scene.land_cover == 255, ~scene.valid)
    assert set(np.unique(scene.labels)) <= {0, 1, 2, 3, 255}
    assert scene.land_cover[scene.valid].max() < len(LAND_COVER)
    assert np.isfinite(scene.reflectance).all()
    assert scene.reflectance.min() > -0.02
    assert scene.reflectance.max() < 2


@pytest.mark.parametrize("biome", BIOMES)
@pytest.mark.parametrize("bands", [("nir",), ("red", "blue", "swir16"), ("cirrus", "green")])
def test_any_band_subset_equals_the_full_scene(biome: str, bands: tuple[str, ...]) -> None:
    full = generate_scene(SceneSettings(seed=4, biome=biome, bands=BANDS, height=64, width=64))  # type: ignore[arg-type]
    part = generate_scene(SceneSettings(seed=4, biome=biome, bands=bands, height=64, width=64))  # type: ignore[arg-type]
    np.testing.assert_array_equal(part.reflectance, full.reflectance[[BANDS.index(band) for band in bands]])
    np.testing.assert_array_equal(part.labels, full.labels)
    np.testing.assert_array_equal(part.land_cover, full.land_cover)


@pytest.mark.parametrize("biome", BIOMES)
@pytest.mark.parametrize("seed", range(3))
def test_flatly_lit_pure_ground_is_within_its_class_spectrum(biome: str, seed: int) -> None:
    """Medians per class lie within three deviations (between plus within places) of the class mean."""
    table = spectral_table()
    canvas = Canvas(stream(seed, "land"), 128, 128, 10.0)
    paint(canvas, biome)
    image = develop(canvas, BANDS, np.ones((128, 128), dtype=np.float32))
    pure = (canvas.glow == 0) & np.all([share == 0 for _, share in canvas.blends] + [canvas.glow == 0], axis=0)
    for code, name in enumerate(LAND_COVER):
        where = pure & (canvas.cover == code)
        if where.sum() < 200:
            continue
        median = np.median(image[:, where], axis=1)
        spread = np.sqrt((table.between[code] ** 2 + table.within[code] ** 2).sum(axis=0))
        assert (np.abs(median - table.mean[code]) < 3 * spread + 0.01).all(), name


def test_clear_reflectance_stays_above_the_air() -> None:
    scene = generate_scene(
        SceneSettings(seed=1, biome="mountain", cloud_fraction=0.0, haze=0.0, sensor_noise=0.0, nodata_probability=0.0)
    )
    assert (scene.reflectance.min(axis=(1, 2)) >= 0.99 * path_reflectance(scene.bands)).all()


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.6, 1.0])
def test_cloud_fraction_of_a_scene(fraction: float) -> None:
    scene = generate_scene(SceneSettings(seed=8, cloud_fraction=fraction, nodata_probability=0.0, **SMALL))  # type: ignore[arg-type]
    assert np.isin(scene.labels, (1, 2)).mean() == pytest.approx(fraction, abs=0.06)


def test_haze_lifts_the_blue_most() -> None:
    def blue_red(haze: float) -> np.ndarray:
        scene = generate_scene(
            SceneSettings(seed=3, biome="forest", haze=haze, cloud_fraction=0.0, bands=("blue", "red"), **SMALL)  # type: ignore[arg-type]
        )
        return scene.reflectance.mean(axis=(1, 2))

    lift = blue_red(0.05) - blue_red(0.0)
    assert lift[0] > lift[1] > 0.01


def test_coarse_bands_are_blocks_of_their_native_pixels() -> None:
    image = np.random.default_rng(0).uniform(0.1, 0.5, (2, 37, 50)).astype(np.float32)
    seen = expose(image, ("nir", "swir16"), seed=0, gsd=10, noise=0)
    blocks = seen[1, :36, :50].reshape(18, 2, 25, 2)
    assert (blocks == blocks[:, :1, :, :1]).all()
    assert not (seen[0, 0:36:2] == seen[0, 1:36:2]).all()
    assert seen.mean() == pytest.approx(image.mean(), rel=0.01)


def test_sensor_noise_has_the_stated_strength() -> None:
    image = np.full((1, 256, 256), 0.25, dtype=np.float32)
    seen = expose(image, ("red",), seed=0, gsd=10, noise=1.0)[0]
    assert (seen - 0.25).std() == pytest.approx(np.hypot(3e-4 + 1.2e-3 * 0.5, 2e-4), rel=0.03)


def test_swath_edges_are_straight() -> None:
    for seed in range(8):
        valid = swath(stream(seed, "swath"), 64, 64)
        assert 0.1 < valid.mean() < 0.97
        assert np.abs(np.diff(valid.astype(int), axis=0)).sum(axis=0).max() <= 1
        assert np.abs(np.diff(valid.astype(int), axis=1)).sum(axis=1).max() <= 1


@pytest.mark.parametrize(
    "bad",
    [
        {"seed": -1},
        {"height": 8},
        {"biome": "moon"},
        {"cloud_kind": "fog"},
        {"cloud_fraction": 2.0},
        {"haze": -0.1},
        {"sensor_noise": -1.0},
        {"nodata_probability": 1.5},
        {"bands": ("blue", "blue")},
        {"gsd": -10.0},
    ],
)
def test_impossible_settings_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        SceneSettings(**({"seed": 0} | bad))  # type: ignore[arg-type]


def test_unknown_band_is_refused() -> None:
    with pytest.raises(BandError, match="purple"):
        SceneSettings(seed=0, bands=("purple",))
