from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml

from satsqueeze.core.errors import RunError, SettingsError
from satsqueeze.data.synth import DatasetSettings, SceneSettings, card_dict, generate_scene, write_dataset, write_scene
from satsqueeze.data.synth.writer import to_digital


def test_round_trip(tmp_path: Path) -> None:
    scene = generate_scene(
        SceneSettings(seed=5, height=96, width=300, bands=("red", "swir16", "blue"), nodata_probability=1.0)
    )
    write_scene(scene, tmp_path, "one")
    with rasterio.open(tmp_path / "images" / "one.tif") as source:
        digital = source.read()
        assert source.dtypes == ("uint16",) * 3
        assert source.descriptions == scene.bands
        assert source.nodata == 0
        assert source.crs.to_epsg() == 32633
        assert source.res == (10.0, 10.0)
        assert (set(source.scales), set(source.offsets)) == ({1e-4}, {-0.1})
        assert source.profile["compress"] == "deflate"
        assert float(source.tags()["SUN_ZENITH_DEG"]) == pytest.approx(scene.sun_zenith_deg, abs=1e-3)
        image_transform = source.transform
    np.testing.assert_array_equal((digital == 0).all(axis=0), ~scene.valid)
    reflectance = (digital.astype(np.float64) - 1000) / 10000
    assert np.abs(reflectance - scene.reflectance)[:, scene.valid].max() <= 0.5e-4 + 1e-7
    for folder, truth in (("labels", scene.labels), ("landcover", scene.land_cover)):
        with rasterio.open(tmp_path / folder / "one.tif") as source:
            np.testing.assert_array_equal(source.read(1), truth)
            assert source.nodata == 255
            assert source.transform == image_transform
    assert not list(tmp_path.rglob(".*"))


def test_large_scenes_are_tiled(tmp_path: Path) -> None:
    scene = generate_scene(SceneSettings(seed=5, height=256, width=320, bands=("red",)))
    write_scene(scene, tmp_path, "big")
    with rasterio.open(tmp_path / "images" / "big.tif") as source:
        assert source.block_shapes == [(256, 256)]


def test_digital_numbers_never_meet_the_reserved_ones() -> None:
    values = np.array([[[-0.5, -0.1, 0.0, 0.2, 9.0]]], dtype=np.float32)
    valid = np.array([[True, True, True, False, True]])
    assert to_digital(values, valid).ravel().tolist() == [1, 1, 1000, 0, 65534]


def test_dataset_patches_join_to_their_scene(tmp_path: Path) -> None:
    settings = DatasetSettings(seed=7, scenes=2, size=32, patches_per_scene=4)
    names = write_dataset(settings, tmp_path)
    assert names[:5] == [f"scene0000_patch{i:02d}" for i in range(4)] + ["scene0001_patch00"]
    assert sorted(path.stem for path in (tmp_path / "images").iterdir()) == sorted(names)
    scene = generate_scene(settings.scene(1))
    whole = to_digital(scene.reflectance, scene.valid)
    corners = {}
    for patch in range(4):
        with rasterio.open(tmp_path / "images" / f"scene0001_patch{patch:02d}.tif") as source:
            row, col = divmod(patch, 2)
            np.testing.assert_array_equal(source.read(), whole[:, row * 32 : row * 32 + 32, col * 32 : col * 32 + 32])
            corners[patch] = (source.transform.c, source.transform.f)
    assert (corners[3][0] - corners[0][0], corners[0][1] - corners[3][1]) == (320.0, 320.0)


def test_dataset_is_repeatable(tmp_path: Path) -> None:
    settings = DatasetSettings(seed=7, scenes=2, size=32)
    for folder in ("a", "b"):
        write_dataset(settings, tmp_path / folder)
    for path in sorted((tmp_path / "a").rglob("*.tif")):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_card_is_plain_yaml(tmp_path: Path) -> None:
    settings = DatasetSettings(seed=1, scenes=1, size=32)
    write_dataset(settings, tmp_path)
    assert yaml.safe_load((tmp_path / "dataset.yaml").read_text()) == card_dict(settings)


@pytest.mark.parametrize(
    "bad", [{"scenes": 0}, {"patches_per_scene": 0}, {"biomes": ()}, {"size": 4}, {"cloud_fraction": 3.0}]
)
def test_impossible_datasets_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        DatasetSettings(**({"seed": 0} | bad))  # type: ignore[arg-type]


def test_a_file_where_a_folder_should_be_leaves_nothing(tmp_path: Path) -> None:
    scene = generate_scene(SceneSettings(seed=5, height=32, width=32))
    (tmp_path / "images").write_text("in the way")
    with pytest.raises((RunError, OSError)):
        write_scene(scene, tmp_path, "one")
    assert (tmp_path / "images").read_text() == "in the way"
