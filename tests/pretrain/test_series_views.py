"""Views of series: no date in both, pixels matched by coordinates, and networks over dates that learn from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from satsqueeze.bench.history import read_history
from satsqueeze.core.errors import SettingsError, TrainError
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.learn.progress import HISTORY_FILE
from satsqueeze.nets.model import build_model, load_model
from satsqueeze.pretrain.card import over_dates
from satsqueeze.pretrain.contrast import ContrastSettings
from satsqueeze.pretrain.edges import edges_of_views
from satsqueeze.pretrain.features import Backbone
from satsqueeze.pretrain.forecast import Forecast, forecast_loss
from satsqueeze.pretrain.pretraining import pretrain
from satsqueeze.pretrain.settings import PretrainSettings
from satsqueeze.pretrain.start import start_network
from satsqueeze.pretrain.view_sampler import ViewBatch, ViewSampler
from satsqueeze.pretrain.view_settings import ViewSettings
from satsqueeze.pretrain.weather import Weather

from .conftest import CARD, SIDE, make_card, write_tif

DATES = (10, 100, 190, 280)
SETTINGS = ViewSettings(size=16, positions=20, series=2, scale_range=(1.0, 1.0))
TINY = PretrainSettings(
    epochs=2,
    steps_per_epoch=2,
    batch_size=2,
    precision="fp32",
    progress=False,
    views=SETTINGS,
    contrast=ContrastSettings(width=4),
    monitor_pixels=0,
)


def coded(place: int, day: int) -> np.ndarray:
    """DN uint16 (4, 40, 40) that tell row, column, day and place; the first four rows are nodata."""
    rows, cols = np.indices((SIDE, SIDE))
    image = np.stack([100 + rows, 100 + cols, np.full_like(rows, day), np.full_like(rows, 1 + place)])
    image[:, :4] = 0
    return image.astype(np.uint16)


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    for place in range(3):
        # The last place has three dates alone.
        for day in DATES[: 4 - (place == 2)]:
            write_tif(folder / f"images/p{place}_d{day}.tif", coded(place, day))
    told = CARD.replace("group: '(p\\d+)_d\\d+'", "series: '(p\\d+)_d'\ndate: '_d(\\d+)$'\nlabel_kind: none")
    (folder / "dataset.yaml").write_text(told)
    return pack(open_dataset(folder), tmp_path_factory.mktemp("packed") / "cache")


def test_views_share_no_date_and_their_days_are_those_of_their_dates(series):
    batch = ViewSampler(series, series.ids, SETTINGS, batch_size=30, seed=0).batch(0)
    assert batch.images.shape == (60, 2, 4, 16, 16)
    told = (batch.images[:, :, 2].amax(dim=(2, 3)) * 1e4).round()
    torch.testing.assert_close(told, batch.days)
    for place, first, second in zip(batch.places.tolist(), *batch.days.chunk(2), strict=True):
        known = [set(days[days > 0].tolist()) for days in (first, second)]
        assert not known[0] & known[1]
        assert [len(days) for days in known] == ([1, 1] if place == 2 else [2, 2])
    assert {tuple(row.tolist()) for row in batch.days} > {(10.0, 100.0), (190.0, 280.0)}


def test_views_of_one_choice_of_dates_show_it_twice(series):
    batch = ViewSampler(series, series.ids, replace(SETTINGS, dates="one"), batch_size=30, seed=0).batch(0)
    first, second = batch.days.chunk(2)
    assert torch.equal(first, second)
    assert {tuple(row.tolist()) for row in first} > {(10.0, 100.0), (190.0, 280.0)}


def test_pixels_of_a_pair_are_one_pixel_of_the_ground_at_every_date(series):
    batch = ViewSampler(series, series.ids, SETTINGS, batch_size=8, seed=1).batch(3)
    first, second = batch.images.chunk(2)
    for slot, (one, two) in enumerate(zip(*batch.points.long().chunk(2), strict=True)):
        counted = batch.counts[slot]
        ground = batch.ground[slot][counted]
        assert len(ground)
        for view, points in ((first, one[counted]), (second, two[counted])):
            for date in view[slot][view[slot].flatten(1).any(dim=1)]:
                shown = date[:2, points[:, 0], points[:, 1]].T * 1e4 - 100
                torch.testing.assert_close(shown.round(), ground)


def test_nothing_is_drawn_over_series_whose_dates_differ_by_themselves(series):
    settings = replace(SETTINGS, jitter=1.0, clouds=1.0, haze=1.0, noise=1.0)
    batch = ViewSampler(series, series.ids, settings, batch_size=3, seed=0).batch(0)
    assert torch.equal(Weather(settings, make_card().scaling, seed=0)(batch).images, batch.images)


def flat_views(values, seen=True):
    """Two views of one place at two dates: reflectance (2, 2, C) of all pixels, and two points."""
    images = torch.tensor(values)[..., None, None].expand(-1, -1, -1, 8, 8).clone()
    points = torch.tensor([[2.0, 2.0], [5.0, 4.0]]).expand(2, -1, -1)
    return ViewBatch(
        images=images,
        points=points,
        ground=points[:1],
        partners=points[:1],
        counts=torch.tensor([[True, seen]]),
        places=torch.zeros(1, dtype=torch.long),
        step=0,
        days=torch.tensor([[10.0, 100.0], [190.0, 280.0]]),
    )


def constant(value):
    """A forecast that tells one normalised value for every band on every day."""
    forecast = Forecast(3, 4)
    nn.init.zeros_(forecast.answer[-1].weight)
    nn.init.constant_(forecast.answer[-1].bias, value)
    return forecast


def test_a_forecast_is_held_against_the_dates_of_the_other_view():
    model, features = build_model(make_card(), seed=0), torch.zeros(2, 3, 2)
    # In standard deviations from the mean, the first view is at 1 and the second at 3.
    levels = [[[0.2 + 0.06 * level] * 4] * 2 for level in (1, 3)]
    for told, expected in ((1.0, (0.0, 2.0)), (2.0, (1.0, 1.0))):
        huber = [max(error - 0.1, 0.0) for error in expected]
        loss = forecast_loss(constant(told), model, features, flat_views(levels))
        assert loss.item() == pytest.approx(np.mean(huber), abs=1e-5)
    # A date without measurement teaches nothing: of the second view, the first date alone is left.
    levels[1][1] = [0.0] * 4
    loss = forecast_loss(constant(1.0), model, features, flat_views(levels))
    assert loss.item() == pytest.approx((1.9 * 1 + 0.0 * 2) / 3, abs=1e-5)


def test_what_lies_between_pixels_is_told_from_those_with_data():
    model, features = build_model(make_card(), seed=0), torch.zeros(2, 3, 2)
    batch = flat_views([[[0.26] * 4] * 2] * 2)
    points = batch.points.clone()
    points[:, 0] = torch.tensor([2.25, 2.0])
    batch.images[:, :, :, 3] = 0  # a quarter of what the first point shows is nodata
    loss = forecast_loss(constant(1.0), model, features, batch._replace(points=points))
    assert loss.item() == pytest.approx(0, abs=1e-5)
    points[:, 0] = torch.tensor([2.75, 2.0])  # three quarters: the other point alone is left
    loss = forecast_loss(constant(2.0), model, features, batch._replace(points=points))
    assert loss.item() == pytest.approx(0.9, abs=1e-5)


def test_a_forecast_knows_the_day_and_has_a_shape():
    torch.manual_seed(0)
    forecast = Forecast(3, 4)
    told = forecast(torch.randn(2, 3, 5), torch.tensor([[10.0, 100.0, 375.25], [1.0, 2.0, 3.0]]))
    assert told.shape == (2, 3, 4, 5)
    torch.testing.assert_close(told[0, 0], told[0, 2], atol=1e-4, rtol=0)  # a year later
    assert not torch.allclose(told[0, 0], told[0, 1], atol=1e-3)


def test_a_forecast_needs_something_to_tell_of():
    model, features = build_model(make_card(), seed=0), torch.zeros(2, 3, 2)
    batch = flat_views([[[0.0] * 4] * 2] * 2)
    with pytest.raises(TrainError, match="valid at any date of the other view"):
        forecast_loss(constant(0.0), model, features, batch)
    with pytest.raises(TrainError, match="no other dates"):
        forecast_loss(constant(0.0), model, features, batch._replace(days=None))


def test_a_network_over_dates_is_pretrained_and_starts_another(series, tmp_path):
    card = over_dates(make_card(features=(8, 8)))
    pretrain(build_model(card, seed=0), series, series.ids, TINY, tmp_path)
    learnt = load_model(tmp_path)
    drawn = build_model(card, seed=0).state_dict()
    assert not torch.equal(learnt.state_dict()["net.attention.look.weight"], drawn["net.attention.look.weight"])
    assert all(module.padding_mode == "zeros" for module in learnt.modules() if isinstance(module, nn.Conv2d))
    assert {"dense", "forecast"} <= read_history(tmp_path / HISTORY_FILE)[-1].keys()
    other = build_model(replace(card, config=replace(card.config, classes=3), classes=("a", "b", "c")), seed=5)
    start_network(tmp_path, other)
    for name, tensor in other.state_dict().items():
        if "heads" not in name:
            assert torch.equal(tensor, learnt.state_dict()[name]), name


def test_a_forecast_is_learnt_alone(series, tmp_path):
    alone = replace(TINY, contrast=ContrastSettings(width=4, weight=0.0))
    pretrain(build_model(over_dates(make_card(features=(8, 8))), seed=0), series, series.ids, alone, tmp_path)
    row = read_history(tmp_path / HISTORY_FILE)[-1]
    # A projection that learns nothing tells nothing of collapse.
    assert not {"dense", "alignment", "uniformity"} & row.keys()
    assert row["loss"] == pytest.approx(alone.forecast_weight * row["forecast"])


def test_edges_are_as_told_and_as_they_were_afterwards():
    model = build_model(make_card(), seed=0).eval()
    image = torch.full((1, 4, 32, 32), 0.3)
    plain = Backbone(model, "encoder")(image)
    assert plain.std(dim=(2, 3)).max() > 1e-3
    with edges_of_views(model, "repeated"):
        assert Backbone(model, "encoder")(image).std(dim=(2, 3)).max() < 1e-6
    assert torch.equal(Backbone(model, "encoder")(image), plain)


def test_what_cannot_be_is_refused(series, cache, tmp_path):
    with pytest.raises(SettingsError, match="series needs a number of dates"):
        ViewSettings(series=2, place="(p)")
    with pytest.raises(SettingsError, match="no others to tell of; set forecast_weight to 0"):
        PretrainSettings(views=ViewSettings(series=2, dates="one"))
    nothing = ContrastSettings(weight=0.0)
    network = build_model(make_card(), seed=0)
    for settings in (replace(TINY, contrast=nothing, forecast_weight=0.0), replace(TINY, views=ViewSettings())):
        with pytest.raises(SettingsError, match="nothing is to be learnt: "):
            pretrain(network, series, series.ids, replace(settings, contrast=nothing), tmp_path)
    with pytest.raises(SettingsError, match="edges must be"):
        PretrainSettings(edges="reflected")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="forecast_weight must be"):
        PretrainSettings(forecast_weight=-1.0)
    with pytest.raises(SettingsError, match="need a network over dates"):
        pretrain(build_model(make_card(), seed=0), series, series.ids, TINY, tmp_path)
    alone = [name for name in series.ids if "_d10." in name or name.endswith("_d10")]
    with pytest.raises(SettingsError, match="is the only date of its place"):
        ViewSampler(series, alone, SETTINGS, batch_size=1, seed=0)
