"""Cards of time series against the folder geometry of their data sets, generated."""

from __future__ import annotations

import json
import pickle
import zipfile

import numpy as np
import pytest

from satsqueeze.core.errors import BandError, CardError, DataError, GridError, LabelError, RadiometryError, RasterError
from satsqueeze.data.cards.catalogue import card_from
from satsqueeze.data.check import check
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.items.acquisition import date_in_name, day_of_year, normal_date
from satsqueeze.data.items.reader import read_image, read_sample

DAYS = ("20180905", "20190126", "20190701")


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).integers(100, 6000, shape).astype(np.int16)


def write_pastis(root, patches=(10000, 20000), *, days=DAYS):
    features = []
    for number, patch in enumerate(patches):
        (root / "DATA_S2").mkdir(parents=True, exist_ok=True)
        (root / "ANNOTATIONS").mkdir(exist_ok=True)
        image = drawn(len(days), 10, 16, 12, seed=patch)
        image[1:2, :, :4] = -10000
        np.save(root / "DATA_S2" / f"S2_{patch}.npy", image)
        target = np.zeros((3, 16, 12), np.uint8)
        target[0, 8:] = 1 + number
        target[0, 15] = 19
        target[1:] = 77
        np.save(root / "ANNOTATIONS" / f"TARGET_{patch}.npy", target)
        dates = {str(position): int(day) for position, day in enumerate(days)}
        properties = {"ID_PATCH": patch, "Fold": 1 + number, "TILE": "t30uxv", "dates-S2": dates}
        features.append({"type": "Feature", "properties": properties, "geometry": None})
    (root / "metadata.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def test_pastis(tmp_path):
    write_pastis(tmp_path / "PASTIS")
    found = open_dataset(tmp_path, card="pastis")
    assert [item.id for item in found.items] == [f"pastis/{p}_t0{t}" for p in (10000, 20000) for t in range(3)]
    assert [item.series for item in found.items] == ["pastis/10000"] * 3 + ["pastis/20000"] * 3
    assert [item.date for item in found.items[:3]] == ["2018-09-05", "2019-01-26", "2019-07-01"]
    assert found.items[0].groups == ("pastis/1",)
    assert found.items[3].groups == ("pastis/2",)
    stored = np.load(tmp_path / "PASTIS" / "DATA_S2" / "S2_10000.npy")
    sample = read_sample(found.items[1], ("nir", "blue"))
    np.testing.assert_allclose(sample.raster.values[:, 8, 3], stored[1, [6, 0], 8, 3] * 1e-4, rtol=1e-6)
    assert not sample.raster.valid[:4].any()
    assert sample.raster.valid[4:].all()
    assert [int(sample.label[row, 0]) for row in (0, 5, 9, 15)] == [255, 0, 1, 255]
    assert check(found) == ()


def test_pastis_in_an_archive(tmp_path):
    write_pastis(tmp_path / "PASTIS", (10000,))
    with zipfile.ZipFile(tmp_path / "PASTIS.zip", "w") as archive:
        for path in (tmp_path / "PASTIS").rglob("*"):
            archive.write(path, path.relative_to(tmp_path))
    packed, loose = (open_dataset(tmp_path / name, card="pastis") for name in ("PASTIS.zip", "PASTIS"))
    assert [item.date for item in packed.items] == [item.date for item in loose.items]
    ours, theirs = (read_sample(found.items[2], ("red",)) for found in (packed, loose))
    np.testing.assert_array_equal(ours.raster.values, theirs.raster.values)
    np.testing.assert_array_equal(ours.label, theirs.label)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "metadata.geojson").unlink(), "no file of dates; expected one like"),
        (lambda root: (root / "metadata.geojson").write_text('{"features": []}'), "no record whose ID_PATCH is 10000"),
        (lambda root: (root / "metadata.geojson").write_text('{"features": 3}'), "does not hold the dates"),
        (lambda root: write_pastis(root, days=("20181341",)), "'20181341' is no date"),
        (lambda root: write_pastis(root, days=()), "holds no list of dates"),
    ],
)
def test_dates_that_are_not_there(tmp_path, damage, message):
    write_pastis(tmp_path)
    damage(tmp_path)
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path, card="pastis")


def test_more_dates_than_frames_and_other_axes(tmp_path):
    write_pastis(tmp_path, (10000,))
    np.save(tmp_path / "DATA_S2" / "S2_10000.npy", drawn(2, 10, 16, 12))
    items = open_dataset(tmp_path, card="pastis").items
    with pytest.raises(RasterError, match="holds 2 dates, but 3 or more are listed"):
        read_image(items[2])
    np.save(tmp_path / "DATA_S2" / "S2_10000.npy", drawn(3, 9, 16, 12))
    with pytest.raises(BandError, match="has 9 channels; expected the 10 bands"):
        read_image(items[0])
    np.save(tmp_path / "DATA_S2" / "S2_10000.npy", drawn(10, 16, 12))
    with pytest.raises(GridError, match=r"expected an array with the axes TCHW, got an array of \(10, 16, 12\)"):
        read_image(items[0])
    (tmp_path / "DATA_S2" / "S2_10000.npy").write_bytes(b"nothing")
    with pytest.raises(RasterError, match="cannot be read as arrays"):
        read_image(items[0])


def test_mtlcc(write_tiff, tmp_path):
    for tile, year in (("7878", 2016), ("7879", 2017)):
        for number, day in enumerate(("0103", "0609")):
            for name, bands, side in (("10m", 4, 24), ("20m", 6, 12), ("60m", 3, 4)):
                digital = drawn(bands, side, side, seed=number).astype(np.uint16)
                write_tiff(tmp_path / tile / name / f"{year}{day}.tif", digital)
        label = np.full((24, 24), 26, np.uint16)
        label[:4], label[20:] = 0, 1
        write_tiff(tmp_path / tile / "labels.tif", label)
    found = open_dataset(tmp_path, card="mtlcc")
    assert [item.id for item in found.items[:2]] == ["mtlcc/7878_20160103", "mtlcc/7878_20160609"]
    assert [item.series for item in found.items] == ["mtlcc/7878_2016"] * 2 + ["mtlcc/7879_2017"] * 2
    assert found.items[1].date == "2016-06-09"
    assert len(found.bands) == 13
    sample = read_sample(found.items[0], ("nir", "rededge071", "cirrus"))
    np.testing.assert_allclose(sample.raster.values[0], drawn(4, 24, 24)[3] * 1e-4, rtol=1e-6)
    assert np.ptp(sample.raster.values[2]) < np.ptp(drawn(3, 4, 4)[2]) * 1e-4 + 1e-6
    assert [int(sample.label[row, 0]) for row in (0, 10, 20)] == [255, 16, 0]


def test_mtlcc_with_a_file_missing(write_tiff, tmp_path):
    write_tiff(tmp_path / "1" / "10m" / "20160103.tif", drawn(4, 24, 24).astype(np.uint16))
    with pytest.raises(BandError, match="has 4 channels; expected 13"):
        read_image(open_dataset(tmp_path, card="mtlcc").items[0])


@pytest.mark.parametrize("country", ["ghana", "southsudan"])
def test_african_crops(tmp_path, country):
    for folder in ("npy", "truth", "s2"):
        (tmp_path / country / folder).mkdir(parents=True)
    image = drawn(10, 8, 8, 3).astype(np.uint16)
    image[:, 0, 0, 1] = 0
    others = {"s1": np.zeros((2, 8, 8, 5)), "planet": np.zeros((4, 20, 20, 2))}
    np.savez(tmp_path / country / "npy" / f"{country}_000017.npz", s2=image, **others)
    truth = np.zeros((8, 8))
    truth[2], truth[3], truth[4] = 1, 4, 23
    np.savez(tmp_path / country / "truth" / f"{country}_000017.npz", truth=truth)
    (tmp_path / country / "s2" / f"s2_{country}_000017.json").write_text(
        json.dumps({"dates": ["2016-05-01", "2016-06-10", "2016-09-30"]})
    )
    found = open_dataset(tmp_path, card=f"africa-crops-{country}")
    assert [item.date for item in found.items] == ["2016-05-01", "2016-06-10", "2016-09-30"]
    sample = read_sample(found.items[1], found.bands)
    np.testing.assert_allclose(sample.raster.values[:, 3, 5], image[:, 3, 5, 1] * 1e-4, rtol=1e-6)
    assert not sample.raster.valid[0, 0]
    assert [int(sample.label[row, 1]) for row in (0, 2, 3, 4)] == [255, 0, 3, 255]


def write_t31tfm(root, content):
    path = root / "2016" / "pkl_timeseries" / "W799943_N6568107_E827372_S6540681" / "6541426_800224_2016.pickle"
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(content))


def t31tfm_record():
    sides = {"B01": 8, "B09": 8, "B10": 8} | dict.fromkeys(("B02", "B03", "B04", "B08"), 48)
    names = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
    record = {name: drawn(2, sides.get(name, 24), sides.get(name, 24), seed=i) for i, name in enumerate(names)}
    labels = np.full((48, 48), 3)
    labels[0], labels[1], labels[2], labels[4] = 0, 48, 167, 73
    return record | {"doy": np.array([17, 203]), "labels": labels}


def test_t31tfm(tmp_path):
    record = t31tfm_record()
    write_t31tfm(tmp_path, record)
    found = open_dataset(tmp_path, card="t31tfm")
    assert [item.date for item in found.items] == ["17", "203"]
    assert found.items[0].groups == ("t31tfm/W799943_N6568107_E827372_S6540681",)
    sample = read_sample(found.items[1], ("nir", "nir08", "cirrus"))
    np.testing.assert_allclose(sample.raster.values[0], record["B08"][1] * 1e-4, rtol=1e-6)
    np.testing.assert_allclose(sample.raster.values[1, ::2, 1::2], record["B8A"][1] * 1e-4, rtol=1e-6)
    np.testing.assert_allclose(sample.raster.values[2, 6:12, 0], record["B10"][1, 1, 0] * 1e-4, rtol=1e-6)
    assert [int(sample.label[row, 0]) for row in range(5)] == [255, 18, 255, 2, 19]
    assert len(found.classes) == 20


class Mischief:
    def __reduce__(self):
        return print, ("this must never run",)


def test_a_pickle_runs_nothing(tmp_path, capsys):
    write_t31tfm(tmp_path, t31tfm_record() | {"doy": Mischief()})
    with pytest.raises(RasterError, match=r"it asks for builtins\.print, which no array needs"):
        open_dataset(tmp_path, card="t31tfm")
    assert capsys.readouterr().out == ""


def test_a_pickle_without_dates_or_of_something_else(tmp_path):
    record = t31tfm_record()
    write_t31tfm(tmp_path / "a", {name: value for name, value in record.items() if name != "doy"})
    with pytest.raises(DataError, match="holds no 'doy', only B01"):
        open_dataset(tmp_path / "a", card="t31tfm")
    write_t31tfm(tmp_path / "b", [1, 2])
    with pytest.raises(RasterError, match="expected a dictionary of arrays, got list"):
        open_dataset(tmp_path / "b", card="t31tfm")
    write_t31tfm(tmp_path / "c", record | {"B05": drawn(2, 31, 31)})
    with pytest.raises(GridError, match="31 x 31 px cannot be repeated to 48 x 48"):
        read_image(open_dataset(tmp_path / "c", card="t31tfm").items[0])
    write_t31tfm(tmp_path / "d", {name: value for name, value in record.items() if name != "labels"})
    item = open_dataset(tmp_path / "d", card="t31tfm").items[0]
    with pytest.raises(LabelError, match="holds no 'labels', only B01"):
        read_sample(item, ("red",))


def write_eo_patch(root, *, folder="data", dates=("2017-01-21T10:00:00", "2017-02-01T10:00:00")):
    (root / folder).mkdir(parents=True)
    (root / "mask_timeless").mkdir()
    np.save(root / folder / "BANDS.npy", drawn(2, 9, 10, 13).astype(np.float32) * 1e-4)
    np.save(root / "mask_timeless" / "LULC.npy", np.arange(90, dtype=np.uint16).reshape(9, 10, 1) % 9)
    if dates:
        (root / "timestamps.json").write_text(json.dumps(dates))


@pytest.mark.parametrize("folder", ["data", ""])
def test_eo_patch(tmp_path, folder):
    write_eo_patch(tmp_path / "patch_1", folder=folder)
    write_eo_patch(tmp_path / "patch_2", folder=folder)
    found = open_dataset(tmp_path, card="eo-patch")
    assert len({item.series for item in found.items}) == 2
    assert [item.date for item in found.items] == ["2017-01-21", "2017-02-01"] * 2
    sample = read_sample(found.items[1], ("blue", "swir22"))
    want = np.load(tmp_path / "patch_1" / folder / "BANDS.npy")[1][..., [1, 12]]
    np.testing.assert_allclose(sample.raster.values, np.moveaxis(want, -1, 0), rtol=1e-6)
    assert sample.label[0].tolist() == [255, 0, 1, 2, 3, 4, 5, 6, 7, 255]


def test_dates_stated_in_the_card(tmp_path):
    write_eo_patch(tmp_path, dates=())
    (tmp_path / "dataset.yaml").write_text("card: eo-patch\narrays: {axes: THWC, dates: ['20', '2017-03-01']}\n")
    assert [item.date for item in open_dataset(tmp_path).items] == ["20", "2017-03-01"]
    (tmp_path / "dataset.yaml").write_text("card: eo-patch\narrays: {axes: THWC}\n")
    assert [item.date for item in open_dataset(tmp_path).items] == ["", ""]
    (tmp_path / "dataset.yaml").write_text("card: eo-patch\narrays: {axes: THW}\n")
    with pytest.raises(DataError, match="holds no array '' of the axes THW"):
        open_dataset(tmp_path)


def test_arrays_need_a_radiometry(tmp_path):
    write_pastis(tmp_path, (10000,))
    (tmp_path / "dataset.yaml").write_text("card: pastis\nradiometry: auto\n")
    with pytest.raises(RadiometryError, match="int16 numbers, and arrays carry no evidence"):
        read_image(open_dataset(tmp_path).items[0])


def test_arrays_of_sentinel_2_take_the_offset_that_is_stated(tmp_path):
    write_pastis(tmp_path, (10000,))
    (tmp_path / "dataset.yaml").write_text("card: pastis\nradiometry: sentinel2-n0400\nnodata: -10000\n")
    raster = read_image(open_dataset(tmp_path).items[0], ("blue",))
    stored = np.load(tmp_path / "DATA_S2" / "S2_10000.npy")[0, 0]
    np.testing.assert_allclose(raster.values[0], (stored - 1000.0) / 10000, rtol=1e-5, atol=1e-6)


def test_sen12ms_cr_ts(write_tiff, tmp_path):
    for number, date in ((0, "2018-01-06"), (27, "2018-11-27")):
        name = f"s2_ROIs2017_146_ImgNo_{number}_{date}_patch_0.tif"
        write_tiff(tmp_path / "S2" / str(number) / name, drawn(13, 8, 8, seed=number).astype(np.uint16))
    found = open_dataset(tmp_path, card="sen12ms-cr-ts")
    assert [item.date for item in found.items] == ["2018-01-06", "2018-11-27"]
    assert {item.series for item in found.items} == {"sen12ms-cr-ts/ROIs2017_146_0"}
    assert {item.groups for item in found.items} == {("sen12ms-cr-ts/ROIs2017_146",)}


def test_real_series_of_one_place(shared_data):
    found = open_dataset(shared_data / "sen12ms-cr" / "series", card="sen12ms-cr-ts")
    assert len(found.items) == 12
    assert {item.series for item in found.items} == {"sen12ms-cr-ts/ROIs2017_146_0"}
    assert {item.date[:4] for item in found.items} == {"2018"}
    assert len({item.date for item in found.items}) == 12


def test_real_eo_patch(shared_data, tmp_path):
    (tmp_path / "card.yaml").write_text("card: eo-patch\narrays: {axes: THWC, dates: ['1', '2', '3', '4', '5']}\n")
    record = f"sources:\n  - {{path: {shared_data / 'eo-learn-lulc-patch'}, card: card.yaml}}\n"
    (tmp_path / "sources.yaml").write_text(record)
    found = open_dataset(tmp_path / "sources.yaml")
    assert len(found.items) == 5
    sample = read_sample(found.items[4], ("blue", "nir"))
    assert sample.raster.values.shape == (2, 101, 100)
    stored = np.load(shared_data / "eo-learn-lulc-patch" / "REFERENCE_SCENES.npy")
    np.testing.assert_array_equal(sample.raster.values[1], stored[4, :, :, 7])
    assert sorted(np.unique(sample.label)) == [0, 1, 2, 3, 7, 255]


def test_dates_by_template_product_name_and_table(make_folder, tmp_path):
    names = ("S2A_MSIL2A_20240305T101021_N0510_R022_T33UWR_x", "S2A_MSIL2A_20240415T101021_N0510_R022_T33UWR_x")
    make_folder(tmp_path, names=names)
    (tmp_path / "dataset.yaml").write_text("series: '_(T33UWR)_'\n")
    items = open_dataset(tmp_path).items
    assert [(item.series, item.date) for item in items] == [
        ("folder/T33UWR", "2024-03-05"),
        ("folder/T33UWR", "2024-04-15"),
    ]
    assert {item.groups for item in items} == {("folder/T33UWR",)}, "the dates of a place are one group"
    (tmp_path / "dataset.yaml").write_text("series: '_(T33UWR)_'\ndate: '_(20[0-9]{6})T'\n")
    assert [item.date for item in open_dataset(tmp_path).items] == ["2024-03-05", "2024-04-15"]
    table = "date: '{name}'\ndate_table: {file: days.csv, key: id, value: day}\n"
    (tmp_path / "dataset.yaml").write_text("series: '_(T33UWR)_'\n" + table)
    (tmp_path / "days.csv").write_text(f"id,day\n{names[0]},64.5\n")
    assert [item.date for item in open_dataset(tmp_path).items] == ["64.5", ""]


def test_days():
    assert normal_date("2018-05-06T10:11:12") == normal_date("20180506") == "2018-05-06"
    assert [day_of_year(text) for text in ("2018-01-01", "2016-12-31", "126.5")] == [1.0, 366.0, 126.5]
    assert date_in_name("LC08_L1TP_002053_20160520_20170324_01_T1") == "2016-05-20"
    assert date_in_name("field_7") == ""
    for wrong in ("2018-02-30", "0", "367", "May", ""):
        with pytest.raises(CardError, match="is no date; expected 20180506"):
            normal_date(wrong)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"arrays": {"axes": "TXY"}, "bands": ["red"]}, "axes are the letters"),
        ({"arrays": {"record_key": "a"}, "bands": ["red"]}, "record_key and record_name go together"),
        ({"arrays": {}}, "'arrays' needs 'bands'"),
        ({"files": ["a", "b"], "bands": ["red"]}, "'files' and {file} in the image pattern go together"),
        ({"others": 9}, "others .*must name classes 0..*got 9"),
    ],
)
def test_cards_that_contradict_themselves(fields, message):
    with pytest.raises(CardError, match=message):
        card_from(fields, where="card")


def test_a_pattern_of_dates_that_cannot_be_joined(tmp_path):
    write_pastis(tmp_path)
    (tmp_path / "dataset.yaml").write_text(
        "card: pastis\narrays: {dates_file: '{above}{tile}.json', dates_key: dates}\n"
    )
    with pytest.raises(CardError, match=r"dates_file .* needs \{tile\}"):
        open_dataset(tmp_path)
