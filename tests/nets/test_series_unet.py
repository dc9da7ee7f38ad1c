"""A U-Net over dates: what its attention must and must not depend on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from satsqueeze.core.errors import BandError, GridError, SettingsError
from satsqueeze.core.scaling import Scaling
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.model import build_model, load_model, save_model
from satsqueeze.nets.receptive import receptive_field
from satsqueeze.nets.series_unet import SeriesUNet, SeriesUNetConfig, over_dates
from satsqueeze.nets.students import lite_student, plain_student
from satsqueeze.nets.transfer import transfer
from satsqueeze.nets.unet import UNet

CONFIGS = {
    "lite": lite_student(8, in_channels=3, classes=4),
    "plain": plain_student(4, 3, in_channels=3, classes=4),
    "uneven": replace(plain_student(4, 3, in_channels=3, classes=4), strides=(1, (2, 1), (1, 2))),
}
BANDS = ("red", "green", "blue")


def net_of(config, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = SeriesUNet(SeriesUNetConfig.over(config)).eval()
        # Scores start nearly equal; here dates shall differ in weight.
        torch.nn.init.normal_(net.attention.score.weight, std=2.0)
    return net


def series(count=2, dates=5, side=(64, 96), seed=1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, dates, 3, *side, generator=generator) + 0.1
    return images, torch.rand(count, dates, generator=generator) * 365 + 1


def card(family="series-unet", config=None, **changes):
    config = config or SeriesUNetConfig.over(CONFIGS["plain"])
    scaling = Scaling(bands=BANDS, mean=(0.3, 0.4, 0.5), std=(0.2, 0.1, 0.3))
    fields = {"name": "tiny", "bands": BANDS, "classes": ("a", "b", "c", "d"), "foreground": ()}
    return ModelCard(family=family, config=config, scaling=scaling, **(fields | changes))


def model_of(seed=0, **changes):
    model = build_model(card(**changes), seed=seed)
    torch.nn.init.normal_(model.net.attention.score.weight, std=2.0)
    return model.eval()


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("name", CONFIGS)
def test_a_single_date_is_segmented_as_by_the_unet_of_one_date(name):
    net, one = net_of(CONFIGS[name]), UNet(CONFIGS[name]).eval()
    one.load_state_dict(net.state_dict(), strict=False)
    images, days = series(dates=1)
    torch.testing.assert_close(net(images, days), one(images[:, 0]), rtol=0, atol=0)
    torch.testing.assert_close(net(images[:, 0]), one(images[:, 0]), rtol=0, atol=0)
    assert {*one.state_dict()} < {*net.state_dict()}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_order_of_dates_does_not_matter_but_their_days_do(name):
    net = net_of(CONFIGS[name])
    images, days = series()
    before = net(images, days)
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(net(images[:, order], days[:, order]), before, rtol=1e-4, atol=1e-5)
    assert (net(images, days[:, order]) - before).abs().max() > 1e-3


@pytest.mark.parametrize("name", CONFIGS)
def test_a_masked_date_changes_nothing(name):
    net = net_of(CONFIGS[name])
    images, days = series()
    seen = torch.ones(2, 5, 64, 96, dtype=torch.bool)
    seen[:, 2] = False
    masked = net(images, days, seen)
    kept = [0, 1, 3, 4]
    torch.testing.assert_close(masked, net(images[:, kept], days[:, kept]), rtol=1e-4, atol=1e-5)
    images[:, 2], days[:, 2] = 1000.0, 9.0
    torch.testing.assert_close(net(images, days, seen), masked, rtol=0, atol=0)


def test_a_date_that_is_repeated_weighs_as_one_of_its_kind():
    net = net_of(CONFIGS["lite"])
    images, days = series(dates=1)
    torch.testing.assert_close(
        net(images.repeat(1, 3, 1, 1, 1), days.repeat(1, 3)), net(images, days), rtol=1e-4, atol=1e-5
    )


def test_the_year_is_a_circle():
    net = net_of(CONFIGS["lite"])
    images, days = series()
    torch.testing.assert_close(net(images, days + 365.25), net(images, days), rtol=1e-3, atol=1e-3)


def test_over_dates_against_a_slow_mean():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 4, 6, 3, 5, generator=generator, dtype=torch.float64)
    scores = torch.randn(2, 4, 3, 3, 5, generator=generator, dtype=torch.float64) * 30
    seen = torch.rand(2, 4, 3, 5, generator=generator) < 0.5
    seen[0, :, 0, 0], seen[1, :, 2, 4] = False, True
    found = over_dates(values, scores, seen)
    for place, channel, row, col in torch.cartesian_prod(*map(torch.arange, (2, 6, 3, 5))).tolist():
        dates = [date for date in range(4) if seen[place, date, row, col]]
        if not dates:
            assert found[place, channel, row, col] == 0
            continue
        weights = torch.softmax(torch.stack([scores[place, date, channel // 2, row, col] for date in dates]), 0)
        want = sum(w * values[place, date, channel, row, col] for w, date in zip(weights, dates, strict=True))
        torch.testing.assert_close(found[place, channel, row, col], want)


def test_equal_scores_are_a_plain_mean():
    values = torch.arange(24.0).reshape(1, 3, 2, 2, 2)
    found = over_dates(values, torch.full((1, 3, 1, 2, 2), 7.0), torch.ones(1, 3, 2, 2, dtype=torch.bool))
    torch.testing.assert_close(found, values.mean(dim=1))


def test_a_pixel_hidden_at_a_date_is_taken_from_the_others():
    """Far from where a date is hidden, its values count as if it were not."""
    net = net_of(CONFIGS["plain"])
    images, days = series(count=1, dates=2, side=(64, 64))
    seen = torch.ones(1, 2, 64, 64, dtype=torch.bool)
    seen[:, 0, :, :32] = False
    alone, both, mixed = net(images[:, 1:], days[:, 1:]), net(images, days), net(images, days, seen)
    torch.testing.assert_close(mixed[..., :8], alone[..., :8], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mixed[..., -8:], both[..., -8:], rtol=1e-4, atol=1e-5)


def test_absent_dates_stay_out_of_the_batch_norms():
    images, days = series()
    seen = torch.ones(2, 5, 64, 96, dtype=torch.bool)
    seen[:, 3:] = False
    full, short = net_of(CONFIGS["plain"]).train(), net_of(CONFIGS["plain"]).train()
    torch.testing.assert_close(full(images, days, seen), short(images[:, :3], days[:, :3]), rtol=1e-4, atol=1e-5)
    for name, value in full.state_dict().items():
        torch.testing.assert_close(value, short.state_dict()[name], rtol=1e-4, atol=1e-5)


def test_every_weight_learns():
    with torch.enable_grad():
        net = net_of(CONFIGS["lite"]).train()
        images, days = series()
        net(images, days).square().mean().backward()
        assert all(parameter.grad is not None for parameter in net.parameters())
        assert all(net.attention.get_parameter(name).grad.abs().sum() > 0 for name in ("look.weight", "season.weight"))


def test_the_model_masks_what_is_zero_in_all_bands(tmp_path):
    model = model_of()
    images, days = series(side=(16, 20))
    before = model(images, days)
    longer = torch.cat([images, torch.zeros_like(images[:, :2])], dim=1)
    torch.testing.assert_close(model(longer, torch.cat([days, days[:, :2]], dim=1)), before, rtol=1e-4, atol=1e-5)
    hidden = images.clone()
    hidden[:, 1] = 0
    kept = [0, 2, 3, 4]
    torch.testing.assert_close(model(hidden, days), model(images[:, kept], days[:, kept]), rtol=1e-4, atol=1e-5)
    assert torch.isfinite(model(torch.zeros_like(images), days)).all()
    save_model(model, tmp_path)
    again = load_model(tmp_path)
    assert again.card == model.card
    torch.testing.assert_close(again(images, days), before, rtol=0, atol=0)


def test_image_normalisation_is_of_each_date():
    model = model_of(normalisation="image")
    images, days = series(side=(16, 20))
    torch.testing.assert_close(model(images * 3, days), model(images, days), rtol=1e-3, atol=1e-3)


def test_a_network_of_one_date_starts_one_over_dates():
    source = build_model(card("unet", CONFIGS["plain"]), seed=3).eval()
    model = build_model(card(), seed=4).eval()
    report = transfer(source, model)
    images, days = series(dates=1, side=(16, 20))
    torch.testing.assert_close(model(images, days), source(images[:, 0]), rtol=1e-4, atol=1e-5)
    fresh = {name for name, how in report.tensors.items() if how == "fresh"}
    assert fresh == {name for name in model.state_dict() if name.startswith("net.attention.")}
    with pytest.raises(SettingsError, match="family 'series-unet' instead of 'unet'"):
        transfer(model, source)
    with pytest.raises(SettingsError, match="has features"):
        transfer(build_model(card("unet", plain_student(8, 3, in_channels=3, classes=4)), seed=0), model)


def test_what_does_not_fit_is_refused():
    model = model_of()
    images, days = series(side=(16, 20))
    with pytest.raises(GridError, match=r"with days \(N, T\), got \(2, 5, 3, 16, 20\) and \(2, 4\)"):
        model(images, days[:, :4])
    with pytest.raises(GridError, match=r"images \(N, T, C, H, W\) of at least one date"):
        model.net(images[:, 0], days)
    with pytest.raises(GridError, match="the mask of a series must be"):
        model.net(images, days, images[:, :, :1] > 0)
    with pytest.raises(BandError, match="takes images"):
        model.net(images[:, :, :2], days)
    with pytest.raises(GridError, match="multiples of 4 px"):
        model(images[..., :18], days)
    with pytest.raises(SettingsError, match="reads one date"):
        build_model(card("unet", CONFIGS["plain"]), seed=0)(images, days)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "does not divide the features"),
        ({"heads": 0}, "must be at least 1, got 0"),
        ({"keys": 0}, "must be at least 1"),
        ({"stem": 2, "detail": 4}, "detail looks at a single image"),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(SettingsError, match=message):
        replace(SeriesUNetConfig.over(CONFIGS["plain"]), **changes)


def test_no_receptive_field_is_claimed():
    with pytest.raises(SettingsError, match="no rule for how far the weights of dates look"):
        receptive_field(model_of())


def test_settings_are_read_back():
    config = SeriesUNetConfig.over(CONFIGS["lite"])
    assert SeriesUNetConfig.from_dict(config.to_dict()) == config
    assert config.heads == 4
    assert ModelCard.from_dict(card().to_dict()) == card()
