from __future__ import annotations

import pytest

from satsqueeze.core.errors import CardError
from satsqueeze.core.labels import CLOUD_CLASSES
from satsqueeze.data.cards.catalogue import card_from, card_names, describe, load_card, summaries

NAMED_BY_THE_ISSUE = {
    "folder",
    "38-cloud",
    "95-cloud",
    "l8-biome-patches",
    "on-cloud-n",
    "eurosat-rgb",
    "eurosat-ms",
    "bigearthnet",
    "bigearthnet-v2",
    "synth",
}


def test_all_cards_are_there():
    assert set(card_names()) >= NAMED_BY_THE_ISSUE


@pytest.mark.parametrize("name", card_names())
def test_shipped_card_is_complete(name):
    card = load_card(name)
    assert card.name == name
    assert card.licence
    assert card.how_to_get
    assert name in ("folder", "synth") or all(band.wavelength_nm > 0 for band in card.bands)
    assert all(layout[0] in card.band_names for layout in card.layouts)


@pytest.mark.parametrize("name", ["38-cloud", "95-cloud", "l8-biome-patches", "on-cloud-n", "folder", "synth"])
def test_cloud_cards_share_classes(name):
    card = load_card(name)
    assert (card.classes, card.foreground) == (CLOUD_CLASSES, (1, 2))


def test_bigearthnet_folds_43_classes_into_19():
    card = load_card("bigearthnet")
    assert len(card.label_map) == 43
    assert len(card.classes) == 19
    assert set(card.label_map.values()) == {*range(19), 255}
    assert sum(value == 255 for value in card.label_map.values()) == 11


def test_bigearthnet_v2_knows_every_corine_code_of_level_three():
    card = load_card("bigearthnet-v2")
    assert len(card.label_map) == 44 + 1  # and 999, unlabelled
    assert set(card.label_map.values()) == {*range(19), 255}


def test_describe_is_json_ready():
    import json

    record = json.loads(json.dumps(describe("l8-biome-patches")))
    assert [band["name"] for band in record["bands"]][:4] == ["blue", "green", "red", "nir"]


def test_summaries_are_sorted():
    assert [row.name for row in summaries()] == sorted(card_names())


def test_band_names_get_their_wavelengths():
    card = card_from({"bands": ["Blue", "NIR1", "mystery"]}, where="here")
    assert [(band.name, band.wavelength_nm) for band in card.bands] == [
        ("blue", 492.4),
        ("nir", 832.8),
        ("mystery", 0.0),
    ]


@pytest.mark.parametrize(
    ("sensor", "numbers"),
    [
        ("sentinel-2", ["B02", "B3", "B04", "B8"]),
        ("landsat-8", ["B2", "B3", "B4", "B5"]),
        ("landsat-9", ["B2", "B3", "B4", "B5"]),
        ("landsat-tm", ["B1", "B2", "B3", "B4"]),
        ("landsat-7", ["B1", "B2", "B3", "B4"]),
    ],
)
def test_band_numbers_mean_what_the_sensor_says(sensor, numbers):
    card = card_from({"sensor": sensor, "bands": numbers}, where="here")
    assert card.band_names == ("blue", "green", "red", "nir")


def test_card_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nbands: [red]\nscale: 0.5\noffset: -1\n")
    card = load_card(path)
    assert (card.name, card.radiometry_text) == ("mine", "scale:0.5:-1.0")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"card": "nope"}, "unknown card 'nope'; expected one of"),
        ({"colour": 1}, "colour: Extra inputs are not permitted.*Fields of a card"),
        ({"bands": ["red", "red"]}, "distinct, got red, red"),
        ({"classes": ["clear", "cloud", "clear"]}, "different names, got clear more than once"),
        ({"label_map": {"3": 255}}, "label_map maps the text '3', but masks hold numbers"),
        ({"label_map": {0: 9}}, "label_map .*must name classes 0..3, or 255 to ignore, got {0: 9}"),
        ({"others": 9}, "others .*must name classes 0..3, or 255 to ignore, got 9"),
        ({"foreground": [7]}, "foreground .*must name classes 0..3, got .7."),
        (
            {"classes": ["clear", "cloud"]},
            "foreground .where not stated, .* must name classes 0..1, got .1, 2.; state .*such as 'foreground: .1.'",
        ),
        ({"label_kind": "constant"}, "needs constant_label among the classes, got None"),
        ({"images": "{above}{band}.tif", "bands": ["red"]}, "needs 'file' for every band"),
        ({"images": "{above}{band}.tif", "bands": ["red"]}, "and 'item', the name of what the files make up"),
        ({"images": "{above}{band}.tif", "bands": [{"name": "red", "file": "B4"}]}, "'item', the name of what"),
        ({"scale": 1e-4, "radiometry": "landsat-l2"}, "either scale and offset or radiometry"),
        ({"radiometry": "bright"}, "cannot read the radiometry statement 'bright'"),
        ({"images": "{"}, "opening brace"),
        ({"label_band": 0}, "counts the channels of label files from 1, got 0"),
        ({"least_share": 10}, r"least_share must lie in \[0, 1\], got 10"),
        ({"listed": "{name}.tif"}, "'listed' needs 'item'"),
        ({"bands": 5}, "bands"),
        ({"sensor": "LANDSAT_8"}, "unknown sensor; did you mean landsat-8.*known: sentinel-2, landsat-4.*LANDSAT_8"),
        ({"sensor": "sentinel2", "bands": ["B2"]}, "did you mean sentinel-2"),
        ({"sensor": "bogus"}, "sensor: .*unknown sensor; known: "),
    ],
)
def test_malformed_card(fields, message):
    with pytest.raises(CardError, match=f"(?s)here: .*{message}"):
        card_from(fields, where="here")


@pytest.mark.parametrize(
    "fields", [{"bands": ["red", "red"]}, {"label_band": 0}, {"scale": 1, "radiometry": "landsat-l2"}]
)
def test_a_malformed_card_is_not_quoted_where_the_fault_is_told(fields):
    with pytest.raises(CardError) as raised:
        card_from(fields, where="here")
    assert "Fields of a card" not in str(raised.value)
    assert "Your own GeoTIFFs" not in str(raised.value)


def test_unknown_card_name():
    with pytest.raises(CardError, match="unknown card 'landsat'; expected one of 38-cloud"):
        load_card("landsat")


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2\n", "\x00"])
def test_unreadable_card_file(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(CardError, match=r"bad\.yaml"):
        load_card(path)


def test_absent_card_file(tmp_path):
    with pytest.raises(CardError, match="cannot read"):
        load_card(tmp_path / "none.yaml")
