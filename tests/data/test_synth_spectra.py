import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from satsqueeze.core.bands import SENTINEL2
from satsqueeze.core.errors import BandError
from satsqueeze.data.synth.atmosphere import BANDS, band_index, diffuse_share, haze_colour, path_reflectance
from satsqueeze.data.synth.noise import stream
from satsqueeze.data.synth.spectra import FACTORS, LAND_COVER, principal_factors, spectral_table
from satsqueeze.data.synth.surface import Canvas, develop

ROOT = Path(__file__).resolve().parents[2]
EUROSAT = ROOT.parent / "shared" / "data" / "eurosat-ms" / "EuroSAT_MS"
RECORD = json.loads((ROOT / "src/satsqueeze/data/synth/spectra.json").read_text(encoding="utf-8"))


def test_principal_factors_rebuild_a_covariance_of_low_rank() -> None:
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(13, FACTORS)) * 0.1
    covariance = basis @ basis.T
    factors = principal_factors(covariance)
    np.testing.assert_allclose(factors.T @ factors, covariance, atol=1e-4)
    assert (factors.sum(axis=1) >= 0).all()


def test_table_covers_every_class_and_band() -> None:
    table = spectral_table()
    assert table.mean.shape == (len(LAND_COVER), 13)
    assert table.between.shape == table.within.shape == (len(LAND_COVER), FACTORS, 13)
    assert (table.mean > 0).all()
    assert (table.mean < 1).all()


@pytest.mark.parametrize("name", sorted(RECORD["classes"]))
def test_derived_covariances_are_symmetric_and_not_negative(name: str) -> None:
    assert RECORD["bands"] == list(SENTINEL2)
    for kind in ("between", "within"):
        covariance = np.array(RECORD["classes"][name][kind])
        np.testing.assert_allclose(covariance, covariance.T)
        assert np.linalg.eigvalsh(covariance).min() > -1e-6


def test_spectra_have_the_shapes_that_classes_are_known_by() -> None:
    mean = dict(zip(LAND_COVER, spectral_table().mean, strict=True))
    red, nir, swir = BANDS.index("red"), BANDS.index("nir"), BANDS.index("swir16")
    for green in ("forest", "crop", "pasture"):
        assert mean[green][nir] > 3 * mean[green][red]
    for water in ("water", "turbid_water"):
        assert mean[water][nir] < mean[water][red]
    assert mean["snow"][red] > 0.7
    assert mean["snow"][swir] < 0.2
    sand = mean["sand"][band_index(("blue", "green", "red", "nir"))]
    assert (np.diff(sand) > 0).all()


@pytest.mark.parametrize("cover", LAND_COVER)
def test_flat_unvaried_ground_has_the_mean_spectrum(cover: str) -> None:
    canvas = Canvas(stream(0, "flat"), 16, 16, 10.0)
    canvas.place[:] = 0
    canvas.grain[:] = 0
    canvas.fill(np.ones((16, 16), dtype=bool), cover)
    image = develop(canvas, BANDS, np.ones((16, 16), dtype=np.float32))
    expected = np.maximum(spectral_table().mean[LAND_COVER.index(cover)], 1.03 * path_reflectance(BANDS))
    np.testing.assert_allclose(image, np.broadcast_to(expected[:, None, None], image.shape), rtol=1e-5)


def test_unlit_ground_keeps_the_light_of_the_sky() -> None:
    canvas = Canvas(stream(0, "dark"), 16, 16, 10.0)
    canvas.place[:] = 0
    canvas.grain[:] = 0
    canvas.fill(np.ones((16, 16), dtype=bool), "sand")
    lit = develop(canvas, BANDS, np.ones((16, 16), dtype=np.float32))[:, 0, 0]
    dark = develop(canvas, BANDS, np.zeros((16, 16), dtype=np.float32))[:, 0, 0]
    path = path_reflectance(BANDS)
    np.testing.assert_allclose((dark - path) / (lit - path), diffuse_share(BANDS), rtol=1e-3)


def test_haze_follows_angstroms_law() -> None:
    blue, red = haze_colour(("blue", "red"), angstrom=1.3)
    assert blue / red == pytest.approx((492.4 / 664.6) ** -1.3, rel=1e-5)


@pytest.mark.parametrize("bands", [("blue", "purple"), ()])
def test_unknown_bands_are_refused(bands: tuple[str, ...]) -> None:
    with pytest.raises(BandError, match="synthetic bands must be some of"):
        band_index(bands)


@pytest.mark.skipif(not EUROSAT.is_dir(), reason="needs ../shared/data/eurosat-ms")
@pytest.mark.parametrize("cover", ["water", "forest"])
def test_figures_are_those_the_script_derives(cover: str) -> None:
    spec = importlib.util.spec_from_file_location("derive_spectra", ROOT / "scripts" / "derive_spectra.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    source, choice = script.SOURCES[cover]
    derived = script.statistics(script.read_tiles(EUROSAT / source), choice)
    np.testing.assert_allclose(derived["mean"], RECORD["classes"][cover]["mean"], atol=2e-5)
    np.testing.assert_allclose(derived["within"], RECORD["classes"][cover]["within"], atol=2e-8)
    assert derived["pixels"] == RECORD["classes"][cover]["pixels"]
