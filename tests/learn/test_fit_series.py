"""Training networks over dates end to end, on places that one date alone does not tell apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from satsqueeze.core.errors import LabelError, SettingsError, SplitError
from satsqueeze.core.scaling import Scaling
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.sampling.series_sampler import SeriesSampler
from satsqueeze.data.series import series_label, series_of
from satsqueeze.data.splits.split import Split
from satsqueeze.learn.augment.patches import AugmentSettings
from satsqueeze.learn.augment.series import SeriesAugmenter
from satsqueeze.learn.fit_series import fit_series
from satsqueeze.learn.scoring.evaluate import ScoreSettings
from satsqueeze.learn.scoring.series import OnDays, predicted, score_series
from satsqueeze.learn.series_batch import SeriesBatch, series_patches
from satsqueeze.learn.settings import FitSettings
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.model import build_model, load_model
from satsqueeze.nets.series_unet import SeriesUNetConfig
from satsqueeze.nets.students import plain_student

CARD = """
name: seasons
bands: [red, nir]
scale: 0.0001
nodata: 0
classes: [early, late]
foreground: []
series: '(p\\d)_'
date: '_(\\d+)$'
"""
DAYS = (100, 160, 250)
SCALING = Scaling(bands=("red", "nir"), mean=(0.0, 0.0), std=(1.0, 1.0))
SETTINGS = FitSettings(
    epochs=3,
    steps_per_epoch=8,
    batch_size=4,
    patch_size=(16, 16),
    learning_rate=0.02,
    optimiser="adamw",
    precision="fp32",
    augment=AugmentSettings.geometric(),
    progress=False,
)


def write_tif(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = values.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": values.dtype.name}
    with rasterio.open(path, "w", crs="EPSG:32631", transform=Affine(10, 0, 0, 0, -10, 0), **profile) as handle:
        handle.write(values)


def write_seasons(root, *, places=4, side=24, clouds=False):
    """Left and right of a border, one is green on day 100 and the other on day 250; order in the file tells nothing."""
    root.mkdir(parents=True)
    (root / "dataset.yaml").write_text(CARD)
    for place in range(places):
        generator = np.random.default_rng(place)
        label = np.zeros((side, side), np.uint8)
        label[:, int(generator.integers(8, 16)) :] = 1
        label = np.rot90(label, place).copy()
        for day in DAYS:
            green = {100: label == 0, 160: label < 2, 250: label == 1}[day]
            image = np.stack([np.where(green, 500, 1500), np.where(green, 4000, 1500)]) + generator.normal(
                0, 100, (2, side, side)
            )
            if clouds and day == 250:
                image[:, :10] = 0
            write_tif(root / "images" / f"p{place}_{day}.tif", image.astype(np.uint16))
            write_tif(root / "labels" / f"p{place}_{day}.tif", label[None])
    return root


@pytest.fixture(scope="module")
def seasons(tmp_path_factory) -> PackedCache:
    folder = tmp_path_factory.mktemp("seasons")
    return pack(open_dataset(write_seasons(folder / "data", clouds=True)), folder / "cache")


@pytest.fixture
def halves(seasons) -> Split:
    return Split(train=seasons.ids[:6], validation=seasons.ids[6:])


def card_of(config=None, bands=("red", "nir")):
    config = config or SeriesUNetConfig.over(plain_student(4, 3, in_channels=2, classes=2))
    return ModelCard(
        name="tiny",
        family="series-unet" if isinstance(config, SeriesUNetConfig) else "unet",
        config=config,
        scaling=Scaling(bands=bands, mean=(0.1, 0.3), std=(0.05, 0.15)),
        bands=bands,
        classes=("early", "late"),
        foreground=(),
    )


def test_it_learns_what_only_several_dates_tell_and_resumes(seasons, halves, tmp_path):
    model = build_model(card_of(), seed=0)
    result = fit_series(model, seasons, halves, SETTINGS, tmp_path / "a", dates=3)
    assert result.best_score > 0.9
    again = fit_series(build_model(card_of(), seed=0), seasons, halves, SETTINGS, tmp_path / "a", dates=3)
    assert again.best_score == result.best_score
    found = score_series(load_model(tmp_path / "a"), seasons, halves.validation, settings=ScoreSettings(window=16))
    assert found.to_dict()["images"] == 2
    assert found.overall().accuracy > 0.9
    without_season = score_series(model, seasons, [name for name in halves.validation if name.endswith("_160")])
    assert without_season.overall().accuracy < 0.8, "on that day both are green"


def test_bands_are_handed_over_by_name(seasons, halves, tmp_path):
    swapped = build_model(replace(card_of(), bands=("nir", "red"), scaling=_swapped()), seed=0)
    straight = build_model(card_of(), seed=0)
    state = straight.state_dict()
    first = "net.stages.0.0.0.weight"
    swapped.load_state_dict(state | {first: state[first].flip(1)})
    series = series_of(seasons, halves.validation)[0]
    one, other = (predicted(model.eval(), seasons, series, ScoreSettings()) for model in (swapped, straight))
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    sampler = SeriesSampler(seasons, halves.train, patch_size=(16, 16), batch_size=2, dates=2, seed=0)
    batches = [series_patches(sampler, channels)(4) for channels in (None, [1, 0])]
    torch.testing.assert_close(batches[0].images.flip(2), batches[1].images)


def _swapped():
    scaling = card_of().scaling
    return Scaling(bands=scaling.bands[::-1], mean=scaling.mean[::-1], std=scaling.std[::-1])


def test_a_place_is_predicted_as_the_network_does(seasons):
    model = build_model(card_of(), seed=1).eval()
    series = series_of(seasons, seasons.ids)[0]
    images = torch.stack([torch.from_numpy(seasons.image(position)) for position in series.positions])[None]
    days = torch.tensor([series.days])
    with torch.no_grad():
        want = model(images, days)
        as_channels = OnDays(model, series.days)(images.flatten(1, 2).repeat(3, 1, 1, 1))
    torch.testing.assert_close(as_channels, want.repeat(3, 1, 1, 1))
    found = predicted(model, seasons, series, ScoreSettings(window=24))
    np.testing.assert_allclose(found.probabilities, want.softmax(dim=1)[0].numpy(), atol=1e-5)
    np.testing.assert_array_equal(found.truth, series_label(seasons, series))


def test_pixels_that_no_date_shows_do_not_count(seasons):
    only = [name for name in seasons.ids if name.endswith("_250")]
    found = predicted(build_model(card_of(), seed=1).eval(), seasons, series_of(seasons, only)[0], ScoreSettings())
    assert (found.truth[:10] == 255).all()
    assert (found.mask[:10] == 255).all()
    assert (found.mask[10:] != 255).all()


def test_labels_without_a_labelled_pixel_or_that_change_are_refused(tmp_path, seasons, halves):
    root = write_seasons(tmp_path / "clouds", places=2)
    for number, day in enumerate(DAYS):
        for place in range(2):
            label = np.full((1, 24, 24), number % 2, np.uint8)
            label[:, 0] = 1 - label[0, 1, 0]
            write_tif(root / "labels" / f"p{place}_{day}.tif", label)
    clouds = pack(open_dataset(root), tmp_path / "cache")
    split = Split(train=clouds.ids[:3], validation=clouds.ids[3:])
    with pytest.raises(LabelError, match="a series has one label for all dates"):
        fit_series(build_model(card_of(), seed=0), clouds, split, SETTINGS, tmp_path / "run", dates=2)
    one = build_model(card_of(plain_student(4, 3, in_channels=2, classes=2)), seed=0)
    with pytest.raises(SettingsError, match="tiny reads one date; series train a network of the family"):
        fit_series(one, seasons, halves, SETTINGS, tmp_path / "other", dates=2)
    other = card_of()
    other = replace(other, classes=tuple(f"other {name}" for name in other.classes))
    with pytest.raises(SettingsError, match="the network knows the classes other"):
        score_series(build_model(other, seed=0), seasons, halves.validation)
    unlabelled = write_unlabelled(tmp_path / "none")
    with pytest.raises(SplitError, match="none of the 2 places to score has a labelled pixel"):
        score_series(build_model(card_of(), seed=0), unlabelled, unlabelled.ids)


def write_unlabelled(root):
    write_seasons(root, places=2)
    for path in (root / "labels").iterdir():
        write_tif(path, np.full((1, 24, 24), 255, np.uint8))
    (root / "dataset.yaml").write_text(CARD + "ignore: 255\n")
    return pack(open_dataset(root), root / "cache")


def batch_of(count=3, dates=4, side=16):
    rows, cols = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    plane = torch.stack([rows, cols]).float() + 1
    images = plane[None, None].repeat(count, dates, 1, 1, 1) * torch.arange(1, dates + 1)[:, None, None, None]
    images[0, 3] = 0
    images[:, 1, :, :5] = 0
    labels = ((rows + 2 * cols) % 7).to(torch.uint8).repeat(count, 1, 1)
    days = torch.arange(1.0, dates + 1).repeat(count, 1)
    return SeriesBatch(images=images.clone(), days=days, labels=labels.clone(), step=2)


def test_all_dates_and_the_label_turn_alike():
    settings = AugmentSettings(mirror=0.5, transpose=0.5).without("rotation", "scaling")
    augment = SeriesAugmenter(settings, scaling=SCALING, seed=5)
    augment._light = lambda flat: flat
    found = augment(batch_of())
    assert not torch.equal(found.labels, batch_of().labels)
    for place in range(3):
        rows, cols = (found.images[place, 0] - 1).long()
        assert torch.equal(found.labels[place].long(), (rows + 2 * cols) % 7)
        torch.testing.assert_close(found.images[place, 2], found.images[place, 0] * 3)
    assert not found.images[0, 3].any()


def test_warping_keeps_dates_together_and_labels_that_any_date_tells():
    settings = AugmentSettings(rotation=1.0, scaling=1.0).without("mirror", "transpose")
    augment = SeriesAugmenter(settings, scaling=SCALING, seed=5)
    augment._light = lambda flat: flat
    found = augment(batch_of())
    torch.testing.assert_close(found.images[:, 2], found.images[:, 0] * 3, rtol=1e-4, atol=1e-3)
    assert not found.images[0, 3].any()
    assert (found.labels != 255).all(), "date 0 shows every pixel"
    again = augment(batch_of())
    torch.testing.assert_close(again.images, found.images, rtol=0, atol=0)


def test_light_differs_from_date_to_date_and_absent_dates_stay_absent():
    settings = AugmentSettings.none()
    augment = SeriesAugmenter(replace(settings, brightness=1.0), scaling=SCALING, seed=1)
    found = augment(batch_of())
    factors = (found.images / batch_of().images)[1, :, 0, 10, 10]
    assert len(set(factors.tolist())) == 4
    assert not found.images[0, 3].any()
    assert not found.images[:, 1, :, :5].any()


def test_noise_does_not_follow_geometry_where_there_is_one_date():
    augment = SeriesAugmenter(replace(AugmentSettings.none(), mirror=0.5, noise=0.3), scaling=SCALING, seed=1)
    whole = batch_of(count=64)
    one = whole._replace(images=whole.images[:, :1], days=whole.days[:, :1])
    found = [augment(one._replace(images=one.images.clone(), step=step)) for step in range(8)]
    turned = torch.cat([batch.labels[:, 0, 0] > batch.labels[:, 0, -1] for batch in found])
    noisy = torch.cat([((batch.images - batch.images.round()).abs() > 1e-3).flatten(1).any(dim=1) for batch in found])
    assert 0.1 < float(noisy[turned].float().mean()) < 0.5
    assert 0.1 < float(noisy[~turned].float().mean()) < 0.5


def test_clouds_cannot_be_pasted():
    with pytest.raises(SettingsError, match="'paste' moves clouds with their label"):
        SeriesAugmenter(replace(AugmentSettings.none(), paste=0.5), scaling=SCALING, seed=0)
