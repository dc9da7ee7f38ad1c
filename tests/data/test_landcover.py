"""Generated countries: exact labels, seasons, and parts that share no place."""

from dataclasses import replace

import numpy as np
import pytest

from satsqueeze.cli.main import main
from satsqueeze.core.errors import SettingsError, SplitError
from satsqueeze.core.run import RunFolder
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import CacheEntry
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.splits.parts import named_split
from satsqueeze.data.stage import PrepareSettings, prepare
from satsqueeze.data.synth.countries import COUNTRIES, LAND_USE, Country
from satsqueeze.data.synth.landcover import PlaceSettings, generate_place
from satsqueeze.data.synth.landcover_writer import LandCoverSettings, write_land_cover
from satsqueeze.data.synth.phenology import KINDS, greenness, northern_day, zenith_deg

SETTINGS = PlaceSettings(country=replace(COUNTRIES["alba"], cloudiness=0.0), seed=3, size=64, dates=8)


@pytest.fixture(scope="module")
def year():
    return list(generate_place(SETTINGS))


def test_a_clear_place_has_one_label_and_a_new_image_at_each_date(year):
    assert [0 < dated.day < 365 for dated in year] == [True] * 8
    assert sorted(dated.day for dated in year) == [dated.day for dated in year]
    for dated in year[1:]:
        np.testing.assert_array_equal(dated.scene.labels, year[0].scene.labels)
        assert np.abs(dated.scene.reflectance - year[0].scene.reflectance).mean() > 0.005
    assert len(np.unique(year[0].scene.labels)) > 3


def test_the_same_settings_give_the_same_bytes_and_bands_do_not_matter(year):
    again = next(iter(generate_place(SETTINGS)))
    np.testing.assert_array_equal(again.scene.reflectance, year[0].scene.reflectance)
    other = next(iter(generate_place(replace(SETTINGS, seed=4))))
    assert (other.scene.labels != year[0].scene.labels).any()
    few = next(iter(generate_place(replace(SETTINGS, bands=("nir",), sensor_noise=0.0))))
    all_bands = next(iter(generate_place(replace(SETTINGS, sensor_noise=0.0))))
    np.testing.assert_allclose(few.scene.reflectance[0], all_bands.scene.reflectance[3], atol=1e-6)


def test_fields_are_green_in_their_season(year):
    def ndvi(dated, kind):
        _, _, red, nir = dated.scene.reflectance
        where = dated.scene.labels == KINDS[kind]
        return float(((nir - red) / (nir + red))[where].mean())

    spring = min(year, key=lambda dated: abs(dated.day - 135))
    late = min(year, key=lambda dated: abs(dated.day - 225))
    assert ndvi(spring, "winter crop") > ndvi(late, "winter crop") + 0.1
    assert ndvi(late, "summer crop") > ndvi(spring, "summer crop") + 0.1


def test_no_label_under_clouds_and_all_labels_beside_them():
    cloudy = PlaceSettings(country=replace(COUNTRIES["borea"], cloudiness=0.5), seed=3, size=64, dates=6)
    dated = list(generate_place(cloudy))
    truth = np.full((64, 64), 255, np.uint8)
    for image in dated:
        labels = image.scene.labels
        seen = labels != 255
        assert ((truth == 255) | (labels == truth) | ~seen).all()
        truth = np.where(seen, labels, truth)
    hidden = np.mean([(image.scene.labels == 255).mean() for image in dated])
    assert 0.1 < hidden < 0.95


@pytest.mark.parametrize("country", COUNTRIES.values(), ids=lambda country: country.name)
def test_seasons_of_either_half_of_the_world(country: Country):
    days = np.arange(0.0, 365.0)
    green = greenness("grassland", northern_day(days, country), dryness=0.0)
    best = int(days[green.argmax()])
    summer = 200 if country.continent == "north" else 18
    assert min(abs(best - summer), 365 - abs(best - summer)) < 30
    low = min(days, key=lambda day: zenith_deg(day, country))
    solstice = 172 if country.continent == "north" else 355
    assert min(abs(low - solstice), 365 - abs(low - solstice)) < 5
    assert zenith_deg(low, country) == pytest.approx(country.noon_zenith_deg[0], abs=0.1)
    for kind in LAND_USE:
        assert ((greenness(kind, days, dryness=country.dryness) >= 0) & (greenness(kind, days, dryness=1.0) <= 1)).all()


def test_a_written_country_is_read_and_its_parts_share_no_place(tmp_path):
    settings = LandCoverSettings(country="corda", places=(3, 1, 2), dates=2, size=32)
    names = write_land_cover(settings, tmp_path / "corda")
    assert names[:3] == ["train_p0000_d00", "train_p0000_d01", "train_p0001_d00"]
    cache = pack(open_dataset(tmp_path / "corda"), tmp_path / "cache")
    assert (cache.classes, cache.foreground, len(cache)) == (LAND_USE, (), 12)
    split = named_split(cache.entries)
    assert [len(split.train), len(split.validation), len(split.test)] == [6, 2, 4]
    groups = [
        {group for entry in cache.entries if entry.id in part for group in entry.groups}
        for part in (split.train, split.validation, split.test)
    ]
    assert sum(len(part) for part in groups) == len(set.union(*groups)) == 6
    scene = next(iter(generate_place(settings.place(0)))).scene
    np.testing.assert_array_equal(cache.label(cache.position("corda/train_p0000_d00")), scene.labels)


def test_runs_test_on_the_places_that_are_for_it(tmp_path):
    settings = LandCoverSettings(country="corda", places=(4, 2, 2), dates=1, size=32)
    names = write_land_cover(settings, tmp_path / "corda")
    prepared = prepare(PrepareSettings(data=str(tmp_path / "corda"), folds=2), RunFolder(tmp_path / "run"))
    assert sorted(prepared.test) == sorted(f"corda/{name}" for name in names if name.startswith("test_"))
    assert not any("test_" in name for name in prepared.learnable)


def entry(name, group):
    return CacheEntry(
        id=name, source="s", groups=(group,), stratum="", role="evaluate", height=1, width=1, offset=0, labelled=True,
        class_pixels=(1,), valid_pixels=1, gsd_m=10,
    )  # fmt: skip


def test_parts_that_cannot_be():
    good = [entry("s/train_a", "a"), entry("s/validation_b", "b"), entry("s/test_c", "c")]
    assert named_split(good).test == ("s/test_c",)
    with pytest.raises(SplitError, match=r"s/other_a states no part"):
        named_split([entry("s/other_a", "a")])
    with pytest.raises(SplitError, match="no image to be validation"):
        named_split([good[0], good[2]])
    with pytest.raises(SplitError, match="a has images in train and in test"):
        named_split([*good, entry("s/test_a", "a")])


def test_the_command_and_its_mistakes(tmp_path, capsys):
    words = ["--places", "1,1,1", "--dates", "1", "--size", "32"]
    assert main(["landcover", "drova", "--out", str(tmp_path), *words]) == 0
    assert f"3 images of 3 places in {tmp_path}" in capsys.readouterr().out
    assert main(["landcover", "atlantis", "--out", str(tmp_path)]) == 2
    assert "unknown country 'atlantis'; known: alba, borea, corda, drova" in capsys.readouterr().err
    assert main(["landcover", "alba", "--places", "1,1"]) == 2
    assert "three numbers" in capsys.readouterr().err
    with pytest.raises(SettingsError, match="at least 16 px"):
        replace(SETTINGS, size=8)
    with pytest.raises(SettingsError, match="at least one place"):
        LandCoverSettings(country="alba", places=(1, 0, 1))
