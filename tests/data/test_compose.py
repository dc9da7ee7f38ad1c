"""Composites: exact labels by construction, seeded, within the physics they claim."""

from __future__ import annotations

import numpy as np
import pytest

from satsqueeze.core.errors import DataError, RunError, SettingsError
from satsqueeze.data.compose import ComposeSettings, compose
from satsqueeze.data.compose.clouds import VISIBLE, Cloud, overcast, paste, procedural_cloud
from satsqueeze.data.compose.fractal import fractal
from satsqueeze.data.compose.surfaces import SPECTRA, bright_objects, recolour, snowy_mountains, wooded_snow
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.synth import SceneSettings, generate_scene, write_scene


def _rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def ground():
    return np.clip(0.15 + 0.03 * np.stack([fractal(48, 3.0, _rng(i)) for i in range(4)]), 0.01, 0.5)


@pytest.mark.parametrize("exponent", [2.0, 3.0, 4.0])
def test_a_fractal_has_zero_mean_unit_variance_and_its_spectrum(exponent):
    field = fractal(256, exponent, _rng())
    assert field.mean() == pytest.approx(0, abs=1e-5)
    assert field.std() == pytest.approx(1, abs=1e-5)
    power = np.abs(np.fft.rfft2(field)) ** 2
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None])
    inside = (frequency > 0.02) & (frequency < 0.4)
    slope = np.polyfit(np.log(frequency[inside]), np.log(power[inside]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.1)


def test_pasting_blends_linearly_and_labels_by_opacity(ground):
    opacity = np.linspace(0, 1, 48, dtype=np.float32)[None].repeat(48, axis=0)
    cloud = Cloud(opacity=opacity, colour=np.full((4, 48, 48), 0.9, np.float32))
    made = paste(ground, cloud, _Unshaded())
    np.testing.assert_allclose(made.image, ground * (1 - opacity) + 0.9 * opacity, rtol=1e-5)
    assert (made.label[opacity <= 0.06] == 0).all()
    visible = np.abs(made.image - ground).max(axis=0) >= VISIBLE
    assert (made.label[(opacity >= 0.13) & visible] == 1).all()
    assert (made.label[(opacity > 0.06) & (opacity < 0.13)] == 255).all()


class _Unshaded:
    """A generator whose only draw decides against a shadow."""

    def random(self):
        return 1.0


def test_a_cloud_that_changes_nothing_is_ignored(ground):
    cloud = Cloud(opacity=np.full((48, 48), 0.5, np.float32), colour=ground)
    assert (paste(ground, cloud, _Unshaded()).label == 255).all()


@pytest.mark.parametrize("seed", range(6))
def test_procedural_clouds_have_opacity_and_plausible_colour(seed):
    cloud = procedural_cloud(64, _rng(seed))
    assert 0 <= cloud.opacity.min() <= cloud.opacity.max() <= 1
    assert 0.2 < cloud.colour.min() <= cloud.colour.max() < 2.5


@pytest.mark.parametrize("surface", sorted(SPECTRA))
def test_recolouring_meets_the_spectrum_of_the_surface(ground, surface):
    means = np.mean([recolour(ground, _rng(seed), surface).mean(axis=(1, 2)) for seed in range(30)], axis=0)
    # A third of the draws mixes in another surface, so the spectrum is met in shape, not exactly.
    wanted = np.array(SPECTRA[surface])
    assert np.corrcoef(means, wanted)[0, 1] > 0.5 or np.ptp(wanted) < 0.15
    assert means.mean() == pytest.approx(wanted.mean(), rel=0.45, abs=0.05)


@pytest.mark.parametrize("make", [recolour, snowy_mountains, wooded_snow, bright_objects])
def test_surfaces_are_seeded_and_in_range(ground, make):
    first, again, other = (make(ground, _rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.dtype == np.float32
    assert first.min() >= 0.005
    assert first.max() <= 1.31


@pytest.mark.parametrize("seed", range(4))
def test_snow_is_redder_in_the_sun_than_in_shadow(seed):
    ground = np.full((4, 96, 96), 0.02, np.float32)
    blue, _, red, _ = snowy_mountains(ground, _rng(seed))
    snow = blue > 0.2
    bright = snow & (blue > np.median(blue[snow]))
    assert (red / blue)[bright].mean() > (red / blue)[snow & ~bright].mean()


@pytest.mark.parametrize("seed", range(4))
def test_a_closed_deck_hides_the_ground_and_is_bluish(seed):
    deck = overcast(64, _rng(seed))
    assert deck.opacity.min() > 0.5
    assert deck.opacity.mean() > 0.95
    blue, _, red, nir = deck.colour.mean(axis=(1, 2))
    assert blue > red
    assert blue > nir


@pytest.mark.parametrize("seed", range(4))
def test_snow_shows_between_trees_where_ground_is_bright(seed):
    ground = np.full((4, 64, 64), 0.05, np.float32)
    ground[:, 20:40] = 0.15  # a road
    image = wooded_snow(ground, _rng(seed))
    assert image[:, 20:40].mean() > image[:, :20].mean() + 0.03


def _grounds(folder, seed=0):
    for number in range(2):
        scene = generate_scene(
            SceneSettings(
                seed=seed + number, height=48, width=48, biome="farmland", cloud_fraction=0.0, nodata_probability=0.0
            )
        )
        write_scene(scene, folder, f"scene{number}")
    return open_dataset(folder, card="synth")


def test_a_composed_set_is_seeded_resumable_and_readable(tmp_path):
    settings = ComposeSettings(composites=4, scenes=2, size=64, seed=3)
    grounds = _grounds(tmp_path / "grounds")
    assert compose(grounds, settings, tmp_path / "a") == 6
    compose(grounds, settings, tmp_path / "b")
    names = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.tif"))
    assert len(names) == 18
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    before = {name: (tmp_path / "a" / name).stat().st_mtime_ns for name in names}
    compose(grounds, settings, tmp_path / "a")
    assert before == {name: (tmp_path / "a" / name).stat().st_mtime_ns for name in names}
    dataset = open_dataset(tmp_path / "a")
    assert len(dataset.labelled) == 6
    assert dataset.bands == ("blue", "green", "red", "nir")


def test_composites_of_one_ground_share_a_group(tmp_path):
    grounds, settings = _grounds(tmp_path / "grounds"), ComposeSettings(composites=8, scenes=2, size=48)
    compose(grounds, settings, tmp_path / "out")
    groups = {item.id: item.groups for item in open_dataset(tmp_path / "out").items}
    assert {group for name, (group,) in groups.items() if "/scene" in name} == {
        "composed/scene00008",
        "composed/scene00009",
    }
    known = {f"composed/{item.groups[0]}" for item in grounds.items}
    assert {group for name, (group,) in groups.items() if "composite" in name} <= known


def test_other_grounds_of_the_same_names_are_not_mixed_in(tmp_path):
    settings = ComposeSettings(composites=2, scenes=0, size=48)
    compose(_grounds(tmp_path / "one"), settings, tmp_path / "out")
    other = _grounds(tmp_path / "two", seed=5)
    with pytest.raises(RunError, match="or from other images"):
        compose(other, settings, tmp_path / "out")


def test_composites_need_clear_ground(tmp_path):
    dataset = _grounds(tmp_path)
    empty = type(dataset)(items=(), bands=dataset.bands, classes=dataset.classes, foreground=dataset.foreground)
    with pytest.raises(DataError, match="at least one"):
        compose(empty, ComposeSettings(composites=1, scenes=0), tmp_path / "out")


def test_impossible_settings_are_refused():
    with pytest.raises(SettingsError, match=r"clear_share in \[0, 1\]; got"):
        ComposeSettings(clear_share=1.5)
    with pytest.raises(SettingsError, match=r"nor their sum above 0\.33; got 0\.3 and 0\.05"):
        ComposeSettings(wooded_share=0.3)
    with pytest.raises(SettingsError, match=r"nothing is to be made.*set one of them above 0"):
        ComposeSettings(composites=0, scenes=0)
