"""Each card against the exact folder geometry of its data set, generated."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from satsqueeze.core.errors import BandError, LabelError, RadiometryError
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.check import check
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.items.reader import read_image, read_sample, read_targets

FOUR = ("blue", "green", "red", "nir")
SCENES = ("LC08_L1TP_002053_20160520_20170324_01_T1", "LC08_L1TP_011002_20160620_20170323_01_T1")


@pytest.mark.parametrize(
    ("card", "root", "tail"),
    [
        ("38-cloud", "38-Cloud_training", ""),
        ("95-cloud", "95-cloud_training_only_additional_to38-cloud", "_additional_to38cloud"),
    ],
)
def test_38_and_95_cloud(write_tiff, tmp_path, card, root, tail):
    sine = np.sin(np.deg2rad(45))
    for number, scene in enumerate(SCENES):
        name = f"patch_{192 + number}_10_by_12_{scene}.TIF"
        for value, band in enumerate(FOUR, 1):
            digital = np.full((16, 16), 8000 + 1000 * value, np.uint16)
            digital[0] = 0
            write_tiff(tmp_path / root / f"train_{band}{tail}" / f"{band}_{name}", digital)
        gt = np.zeros((16, 16), np.uint8)
        gt[8:] = 255
        write_tiff(tmp_path / root / f"train_gt{tail}" / f"gt_{name}", gt)
    for spec in (tmp_path, tmp_path / root):
        found = open_dataset(spec, card=card)
        assert [item.groups for item in found.items] == [(f"38-cloud/{scene}",) for scene in SCENES]
        assert found.items[0].part == "train"
    sample = read_sample(found.items[0], ("nir", "blue"))
    expected = [(2e-5 * dn - 0.1) / sine for dn in (12000, 9000)]
    np.testing.assert_allclose(sample.raster.values[:, 5, 5], expected, rtol=1e-5)
    assert not sample.raster.valid[0].any()
    assert sample.raster.valid[1:].all()
    assert [sample.label[row, 0] for row in (0, 1, 8)] == [255, 0, 1]
    assert "45 degrees is assumed" in sample.raster.provenance


def test_38_cloud_with_a_band_file_missing(write_tiff, tmp_path):
    for band in FOUR[:3]:
        write_tiff(tmp_path / f"train_{band}" / f"{band}_patch_1_1_by_1_{SCENES[0]}.TIF", np.full((4, 4), 9, np.uint16))
    found = open_dataset(tmp_path, card="38-cloud")
    with pytest.raises(BandError, match="the file of band nir is missing; expected one file per band, found blue"):
        read_image(found.items[0], FOUR)


@pytest.mark.parametrize("channels", [4, 6, 7, 8])
def test_l8_biome_patches(write_tiff, reflectance, tmp_path, channels):
    image = reflectance(channels=channels, height=8, width=8)
    if channels == 8:
        image[7] = 280.0
    mask = np.repeat(np.array([64, 128, 192, 255], np.uint8), 16).reshape(8, 8)
    for part, name in (("train", "Barren_00_0214"), ("train", "Barren_00_0301"), ("val", "Water_11_0728")):
        write_tiff(tmp_path / part / "Images" / f"{name}.tif", image)
        write_tiff(tmp_path / part / "Masks" / f"{name}.tif", mask)
    found = open_dataset(tmp_path, card="l8-biome-patches")
    assert found.bands[:4] == FOUR
    assert len(found.bands) == min(channels, 7)
    assert [item.groups[0] for item in found.items] == [
        f"l8-biome-patches/{s}" for s in ("Barren_00",) * 2 + ("Water_11",)
    ]
    assert [item.stratum for item in found.items] == ["Barren", "Barren", "Water"]
    sample = read_sample(found.items[0], ("nir", "blue"))
    np.testing.assert_array_equal(sample.raster.values, image[[3, 0]])
    assert sample.label[::2, 0].tolist() == [3, 0, 2, 1]
    if channels == 8:
        assert read_image(found.items[0], ("lwir11",)).values.mean() == 280


def test_l8_biome_patches_with_digital_numbers_are_refused(write_tiff, tmp_path):
    write_tiff(tmp_path / "Images" / "a.tif", np.full((4, 4, 4), 900, np.uint16))
    found = open_dataset(tmp_path, card="l8-biome-patches")
    with pytest.raises(RadiometryError, match="holds uint16 numbers but its radiometry is stated as 'reflectance'"):
        read_image(found.items[0])


def test_l8_biome_patches_with_named_bands_in_another_order(write_tiff, reflectance, tmp_path):
    image = reflectance()
    write_tiff(tmp_path / "Images" / "a.tif", image, names=("Red", "Green", "Blue", "NIR"))
    found = open_dataset(tmp_path, card="l8-biome-patches")
    np.testing.assert_array_equal(read_image(found.items[0], FOUR).values, image[[2, 1, 0, 3]])


def test_l8_biome_patches_with_five_channels_are_refused(write_tiff, reflectance, tmp_path):
    write_tiff(tmp_path / "Images" / "a.tif", reflectance(channels=5))
    found = open_dataset(tmp_path, card="l8-biome-patches")
    with pytest.raises(BandError, match=r"has 5 channels; expected 8 \(blue.*or 4 \(blue"):
        read_image(found.items[0], FOUR)


@pytest.mark.parametrize("table", [True, False])
def test_on_cloud_n(write_tiff, tmp_path, table):
    place = {"crs": "EPSG:32736", "nodata": 0}
    for folder, chip in (("train", "adwp"), ("train", "adwu"), ("test", "zzzz")):
        for value, band in enumerate(("B02", "B03", "B04", "B08"), 1):
            digital = np.full((8, 8), value * 1000, np.uint16)
            write_tiff(tmp_path / f"{folder}_features" / chip / f"{band}.tif", digital, **place)
    for chip in ("adwp", "adwu"):
        label = np.repeat(np.array([0, 1, 255, 1], np.uint8), 16).reshape(8, 8)
        write_tiff(tmp_path / "train_labels" / f"{chip}.tif", label, crs="EPSG:32736", nodata=255)
    if table:
        rows = "chip_id,location,datetime\nadwp,Chifunfu,x\nadwu,Chifunfu,y\n"
        (tmp_path / "train_metadata.csv").write_text(rows)
    found = open_dataset(tmp_path, card="on-cloud-n")
    assert [item.id for item in found.items] == ["on-cloud-n/adwp", "on-cloud-n/adwu", "on-cloud-n/zzzz"]
    assert [item.id for item in found.labelled] == ["on-cloud-n/adwp", "on-cloud-n/adwu"]
    assert found.items[2].label_expected is None
    assert (found.items[0].groups == found.items[1].groups) == table
    sample = read_sample(found.items[0], FOUR)
    np.testing.assert_allclose(sample.raster.values[:, 0, 0], [0.1, 0.2, 0.3, 0.4], rtol=1e-6)
    assert sample.label[::2, 0].tolist() == [0, 1, 255, 1]
    assert sample.gsd_m == 10


def test_on_cloud_n_given_as_its_feature_folder(write_tiff, tmp_path):
    for band in ("B02", "B03", "B04", "B08"):
        write_tiff(tmp_path / "train_features" / "adwp" / f"{band}.tif", np.full((4, 4), 900, np.uint16))
    write_tiff(tmp_path / "train_labels" / "adwp.tif", np.eye(4, dtype=np.uint8))
    for root in ("", "train_features", "train_features/adwp"):
        assert len(open_dataset(tmp_path / root, card="on-cloud-n").labelled) == 1


def test_on_cloud_n_holding_reflectance_is_refused(write_tiff, tmp_path):
    for band in ("B02", "B03", "B04", "B08"):
        write_tiff(tmp_path / "train_features" / "adwp" / f"{band}.tif", np.full((4, 4), 0.3, np.float32))
    found = open_dataset(tmp_path, card="on-cloud-n")
    with pytest.raises(RadiometryError, match="look like reflectance already"):
        read_image(found.items[0])


def test_eurosat_twins_share_their_groups(write_tiff, tmp_path):
    rgb = np.stack([np.full((64, 64), value, np.uint8) for value in (255, 128, 1)])
    spectrum = np.arange(1, 14, dtype=np.uint16)[:, None, None] * np.full((1, 64, 64), 100, np.uint16)
    for label in ("AnnualCrop", "SeaLake"):
        jpeg = write_tiff(tmp_path / "EuroSAT_RGB" / label / f"{label}_1.jpg", rgb, driver="JPEG", quality=100)
        (jpeg.parent / f"{jpeg.name}.aux.xml").unlink(missing_ok=True)
        write_tiff(tmp_path / "EuroSAT_MS" / label / f"{label}_1.tif", spectrum, crs="EPSG:32632")
    with zipfile.ZipFile(tmp_path / "EuroSAT_RGB.zip", "w") as archive:
        for path in sorted((tmp_path / "EuroSAT_RGB").rglob("*.jpg")):
            archive.write(path, path.relative_to(tmp_path))
    colour = open_dataset(tmp_path / "EuroSAT_RGB.zip", card="eurosat-rgb")
    full = open_dataset(tmp_path / "EuroSAT_MS", card="eurosat-ms")
    assert [item.groups for item in colour.items] == [item.groups for item in full.items]
    assert [read_targets(item) for item in full.items] == [(0,), (9,)]
    values = read_image(colour.items[0], ("red", "green", "blue")).values.mean(axis=(1, 2))
    np.testing.assert_allclose(values, [0.275, 127 / 254 * 0.275, 0], atol=0.005)
    # B8A comes last in these files.
    np.testing.assert_allclose(read_image(full.items[0], ("nir", "nir08")).values[:, 0, 0], [0.08, 0.13], rtol=1e-6)


@pytest.mark.parametrize("inside", ["", "2750/", "a b/EuroSAT (RGB)/"])
def test_eurosat_rgb_takes_any_folders_and_no_jpeg_goes_unseen(tmp_path, inside):
    names = (
        "Forest/Forest_1.jpg",
        "River/River_2.JPG",
        "River/River_3.jpeg",
        "Sea_Lake/Sea_Lake_4.Jpeg",
        "Forest/x.jpg",
    )
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for name in (*names, "River/notes.txt"):
            archive.writestr(inside + name, b"")
    found = open_dataset(tmp_path / "mine.zip", card="eurosat-rgb").items
    assert [item.id for item in found] == [
        f"eurosat-rgb/{n}" for n in ("Forest_1", "River_2", "River_3", "Sea_Lake_4", "x")
    ]
    assert [item.class_name for item in found] == ["Forest", "River", "River", "Sea_Lake", "Forest"]
    with pytest.raises(LabelError, match=r"names the class\(es\) Sea_Lake; expected some of AnnualCrop"):
        read_targets(found[3])


BIGEARTHNET = {"B01": 20, "B02": 120, "B03": 120, "B04": 120, "B05": 60, "B06": 60, "B07": 60, "B08": 120}
BIGEARTHNET |= {"B8A": 60, "B09": 20, "B11": 60, "B12": 60}


def write_bigearthnet(write_tiff, folder, patch):
    for band, size in BIGEARTHNET.items():
        digital = np.full((size, size), 1000, np.uint16)
        write_tiff(folder / patch / f"{patch}_{band}.tif", digital, crs="EPSG:32635", gsd=1200 / size)


def test_bigearthnet_v1(write_tiff, tmp_path):
    patch = "S2A_MSIL2A_20170613T101031_83_17"
    write_bigearthnet(write_tiff, tmp_path / "BigEarthNet-v1.0", patch)
    record = {"labels": ["Rice fields", "Vineyards", "Bare rock"]}
    (tmp_path / "BigEarthNet-v1.0" / patch / f"{patch}_labels_metadata.json").write_text(json.dumps(record))
    found = open_dataset(tmp_path, card="bigearthnet")
    item = found.items[0]
    assert (len(found), len(found.bands), item.groups) == (1, 12, ("bigearthnet/S2A_MSIL2A_20170613T101031",))
    assert read_targets(item) == (2, 3)
    raster = read_image(item)
    assert raster.values.shape == (12, 120, 120)
    np.testing.assert_allclose(raster.values, 0.1, rtol=1e-6)


def test_bigearthnet_v2(write_tiff, tmp_path):
    product, patch = ("S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP",) * 2
    patch = f"{product}_26_57"
    write_bigearthnet(write_tiff, tmp_path / "BigEarthNet-S2" / product, patch)
    codes = np.repeat(np.array([111, 311, 999, 523], np.uint16), 3600).reshape(120, 120)
    reference = tmp_path / "Reference_Maps" / product / patch / f"{patch}_reference_map.tif"
    write_tiff(reference, codes, crs="EPSG:32635")
    found = open_dataset(tmp_path, card="bigearthnet-v2")
    assert found.items[0].groups == (f"bigearthnet-v2/{product}",)
    assert read_sample(found.items[0], ("red",)).label[::30, 0].tolist() == [0, 8, 255, 18]
    assert read_targets(found.items[0]) == (0, 8, 18)


def test_bigearthnet_patches_without_any_of_the_19_classes_are_left_out(write_tiff, tmp_path):
    one, two = (f"S2A_MSIL2A_20170613T101031_83_{number}" for number in (1, 2))
    for patch, names in ((one, ["Bare rock"]), (two, ["Bare rock", "Pastures"])):
        write_bigearthnet(write_tiff, tmp_path / "v1", patch)
        record = json.dumps({"labels": names})
        (tmp_path / "v1" / patch / f"{patch}_labels_metadata.json").write_text(record)
    product = "S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP"
    for number, code in ((1, 332), (2, 231)):
        patch = f"{product}_{number}_57"
        write_bigearthnet(write_tiff, tmp_path / "v2" / "BigEarthNet-S2" / product, patch)
        codes = np.full((120, 120), 999, np.uint16)
        codes[0] = code
        path = tmp_path / "v2" / "Reference_Maps" / product / patch / f"{patch}_reference_map.tif"
        write_tiff(path, codes, crs="EPSG:32635")
    for card, folder in (("bigearthnet", "v1"), ("bigearthnet-v2", "v2")):
        found = open_dataset(tmp_path / folder, card=card)
        cache = pack(found, tmp_path / f"{folder}-cache", bands=("red",))
        assert [entry.targets for entry in cache.entries] == [(4,)]
        (left_out,) = cache.quarantine
        assert left_out.id == found.items[0].id
        assert f"states none of the 19 classes of card '{card}'" in left_out.reason
        assert [problem.problem for problem in check(found)][:1] == [left_out.reason]


def test_sen12ms_cr_pairs_are_one_group(write_tiff, tmp_path):
    image = np.full((13, 8, 8), 2000, np.uint16)
    write_tiff(tmp_path / "s2" / "ROIs1158_spring_s2_26_p100.tif", image)
    write_tiff(tmp_path / "s2_cloudy" / "ROIs1158_spring_s2_cloudy_26_p100.tif", image)
    found = open_dataset(tmp_path, card="sen12ms-cr")
    assert {item.groups for item in found.items} == {("sen12ms-cr/ROIs1158_spring_26",)}
    assert found.labelled == ()


def write_sen12ms(write_tiff, root, scene, patch, igbp):
    """One patch with the classes of its land cover (H, W), as SEN12MS is published, but small."""
    season = "ROIs1158_spring"
    image = np.full((13, *igbp.shape), 2000, np.uint16)
    write_tiff(root / season / f"s2_{scene}" / f"{season}_s2_{scene}_p{patch}.tif", image, crs="EPSG:32632")
    write_tiff(root / season / f"s1_{scene}" / f"{season}_s1_{scene}_p{patch}.tif", image[:2].astype(np.float32))
    cover = np.stack([igbp, np.full_like(igbp, 41), np.full_like(igbp, 30), np.full_like(igbp, 10)])
    write_tiff(root / season / f"lc_{scene}" / f"{season}_lc_{scene}_p{patch}.tif", cover, crs="EPSG:32632")


def test_sen12ms(write_tiff, tmp_path):
    igbp = np.repeat(np.array([1, 5, 12, 14, 17], np.uint16), [1, 899, 500, 500, 100]).reshape(50, 40)
    write_sen12ms(write_tiff, tmp_path, 1, 30, igbp)
    igbp[:] = 9
    igbp.ravel()[:200] = 13
    write_sen12ms(write_tiff, tmp_path, 1, 31, igbp)
    write_sen12ms(write_tiff, tmp_path, 2, 31, np.full((50, 40), 16, np.uint16))
    found = open_dataset(tmp_path, card="sen12ms")
    assert [item.id.partition("/")[2] for item in found.items] == [
        "ROIs1158_spring_s2_1_p30",
        "ROIs1158_spring_s2_1_p31",
        "ROIs1158_spring_s2_2_p31",
    ]
    assert [item.groups for item in found.items] == [(f"sen12ms-cr/ROIs1158_spring_{scene}",) for scene in (1, 1, 2)]
    # Water covers a twentieth, too little; built-up land a tenth, which is enough.
    assert [read_targets(item) for item in found.items] == [(0, 5), (2, 6), (8,)]
    assert (found.task, len(found.bands), len(found.classes)) == ("multi-label", 13, 10)
    np.testing.assert_allclose(read_image(found.items[0], ("nir08",)).values, 0.2, rtol=1e-6)
    assert len(open_dataset(tmp_path / "ROIs1158_spring" / "s2_1", card="sen12ms")) == 2


def test_sen12ms_without_a_land_cover_or_with_another(write_tiff, tmp_path):
    for patch in (1, 2, 3):
        write_sen12ms(write_tiff, tmp_path, 7, patch, np.full((8, 8), 16 + patch, np.uint16))
    (tmp_path / "ROIs1158_spring" / "lc_7" / "ROIs1158_spring_lc_7_p3.tif").unlink()
    known, unknown, absent = open_dataset(tmp_path, card="sen12ms").items
    assert read_targets(known) == (9,)
    with pytest.raises(LabelError, match=r"holds the label value\(s\) 18; expected 1, 2, 3"):
        read_targets(unknown)
    with pytest.raises(LabelError, match=r"has no mask; expected a label beside .*_lc_7_p1\.tif"):
        read_targets(absent)


def test_synth(write_tiff, tmp_path):
    digital = np.full((2, 8, 8), 3000, np.uint16)
    digital[:, 0] = 0
    for patch in range(2):
        name = f"scene0001_patch{patch:02d}.tif"
        write_tiff(tmp_path / "images" / name, digital, names=("blue", "nir"), crs="EPSG:32633", nodata=0)
        write_tiff(tmp_path / "labels" / name, np.full((8, 8), 2, np.uint8), crs="EPSG:32633", nodata=255)
    found = open_dataset(tmp_path, card="synth")
    assert {item.groups for item in found.items} == {("synth/scene0001",)}
    sample = read_sample(found.items[0], ("nir",))
    np.testing.assert_allclose(sample.raster.values[0, 1:], 0.2, rtol=1e-6)
    assert (sample.label[0] == 255).all()
    assert (sample.label[1:] == 2).all()
