"""Cached teacher answers: means, quanta, holes, resumption."""

from __future__ import annotations

import numpy as np
import pytest

from satsqueeze.core.errors import BandError, RunError, SettingsError, TrainError
from satsqueeze.core.run import fingerprint_of
from satsqueeze.core.window import Window
from satsqueeze.data.sampling.sampler import PatchSampler
from satsqueeze.distill.soft import SoftCache, teach


class Known:
    """Cloud with the probability that ``of`` computes from the first of its bands; counts what it is asked."""

    classes = ("clear", "cloud")

    def __init__(self, name="known", bands=("blue", "green", "red", "nir"), of=lambda x: np.clip(x, 0, 1)):
        self.name, self.bands, self.of, self.asked = name, tuple(bands), of, 0
        self.fingerprint = name

    def probabilities(self, reflectance):
        self.asked += 1
        cloud = self.of(reflectance[0])
        return np.stack([1 - cloud, cloud]).astype(np.float32)


def whole(cache, item):
    entry = cache.entries[cache.position(item)]
    return Window(row=0, col=0, height=entry.height, width=entry.width)


def test_answers_are_kept_within_half_a_quantum(cache, tmp_path):
    soft = teach([Known()], cache, cache.ids, tmp_path)
    for item in cache.ids:
        position = cache.position(item)
        image, valid = cache.image(position), cache.valid(position)
        found = soft.window(item, whole(cache, item)) / 255
        want = np.stack([1 - np.clip(image[0], 0, 1), np.clip(image[0], 0, 1)])
        assert np.abs(found - want)[:, valid].max() <= 0.5 / 255 + 1e-6
        assert (found[:, ~valid] == 0).all()


def test_several_teachers_are_averaged(cache, tmp_path):
    low, high = Known("low", of=lambda x: np.full_like(x, 0.2)), Known("high", of=lambda x: np.full_like(x, 0.6))
    soft = teach([low, high], cache, cache.ids[:1], tmp_path)
    valid = cache.valid(0)
    np.testing.assert_allclose(soft.window(cache.ids[0], whole(cache, cache.ids[0]))[1][valid], round(0.4 * 255))
    assert soft.teachers == "low low, high high"


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_answers_that_are_no_numbers_are_refused(cache, tmp_path, odd):
    with pytest.raises(TrainError, match=f"teacher 'known' answers {cache.ids[0]} with NaN or inf"):
        teach([Known(of=lambda x: np.where(x > -1, odd, x))], cache, cache.ids[:1], tmp_path)
    assert not list(tmp_path.rglob("*.npy"))


def counted(probabilities):
    """Certainty^2 of one pixel's answer, the slow way."""
    classes = len(probabilities)
    return ((classes * max(probabilities) - 1) / (classes - 1)) ** 2


def test_the_surer_teacher_counts_more_in_every_pixel(cache, tmp_path):
    """The weighted mean, pixel by pixel in float64, against what is kept."""
    teachers = [Known("blue"), Known("nir", bands=("nir",)), Known("sure", of=lambda x: np.where(x > 0.2, 0.98, 0.4))]
    item, valid = cache.ids[0], cache.valid(0)
    soft = teach(teachers, cache, [item], tmp_path, combine="confidence")
    found = soft.window(item, whole(cache, item)) / 255
    image = cache.image(0)
    answers = [one.probabilities(image[[cache.bands.index(band) for band in one.bands]]) for one in teachers]
    for row, col in np.argwhere(valid)[::7]:
        pixels = [answer[:, row, col].astype(float) for answer in answers]
        weights = [counted(pixel) for pixel in pixels]
        want = sum(weight * pixel for weight, pixel in zip(weights, pixels, strict=True)) / sum(weights)
        assert np.abs(found[:, row, col] - want).max() <= 0.5 / 255 + 1e-5
    assert (found[:, ~valid] == 0).all()
    plain = teach(teachers, cache, [item], tmp_path)
    assert np.abs(plain.window(item, whole(cache, item)) / 255 - found).max() > 0.05


def test_teachers_that_are_equally_sure_are_averaged(cache, tmp_path):
    low, high = Known("low", of=lambda x: np.full_like(x, 0.2)), Known("high", of=lambda x: np.full_like(x, 0.8))
    unsure = [Known("half", of=lambda x: np.full_like(x, 0.5)), Known("too", of=lambda x: np.full_like(x, 0.5))]
    for teachers in ([low, high], [high, Known("twin", of=high.of)], unsure):
        mean, weighed = (teach(teachers, cache, cache.ids[:1], tmp_path, combine=c) for c in ("mean", "confidence"))
        window = whole(cache, cache.ids[0])
        difference = mean.window(cache.ids[0], window).astype(int) - weighed.window(cache.ids[0], window)
        assert np.abs(difference).max() <= 1  # 0.5 is between two bytes


def test_one_teacher_is_not_combined(cache, tmp_path):
    first, again = Known(), Known()
    plain = teach([first], cache, cache.ids[:1], tmp_path)
    weighed = teach([again], cache, cache.ids[:1], tmp_path, combine="confidence")
    assert (weighed.folder, weighed.teachers, again.asked) == (plain.folder, plain.teachers, 0)


def test_combinations_never_share_answers(cache, tmp_path):
    """The record of means is that of before there was a choice."""
    teachers = [Known("first"), Known("second")]
    mean, weighed = (teach(teachers, cache, cache.ids[:1], tmp_path, combine=c) for c in ("mean", "confidence"))
    assert set(mean.record) == {"teachers", "data", "classes", "files"}
    assert mean.folder.name == fingerprint_of(mean.record)[:12] != weighed.folder.name
    assert mean.teachers == "first first, second second"
    assert weighed.teachers == "first first, second second, by confidence"
    with pytest.raises(SettingsError, match=r"by 'confidense'; did you mean confidence\? known: mean, confidence"):
        teach(teachers, cache, cache.ids[:1], tmp_path / "none", combine="confidense")


def test_a_teacher_gets_its_bands_in_its_order(cache, tmp_path):
    soft = teach([Known("nir", bands=("nir", "blue"))], cache, cache.ids[:1], tmp_path)
    nir = cache.image(0)[cache.bands.index("nir")]
    found = soft.window(cache.ids[0], whole(cache, cache.ids[0]))[1] / 255
    assert np.abs(found - nir)[cache.valid(0)].max() <= 0.5 / 255 + 1e-6


def test_images_without_labels_are_answered_too(cache, tmp_path):
    bare = next(entry.id for entry in cache.entries if not entry.labelled)
    soft = teach([Known()], cache, [bare], tmp_path)
    assert soft.window(bare, whole(cache, bare)).any()
    sampler = PatchSampler(cache, [bare], patch_size=(16, 16), batch_size=2, seed=0, soft=soft)
    batch = sampler.batch(0)
    assert (batch.labels == 255).all()
    assert batch.soft is not None
    assert batch.soft.shape == (2, 2, 16, 16)


@pytest.mark.parametrize(
    "window",
    [
        Window(row=3, col=5, height=8, width=6),
        Window(row=-4, col=-3, height=12, width=12),
        Window(row=34, col=30, height=12, width=12),
        Window(row=-2, col=-2, height=44, width=40),
    ],
)
def test_windows_are_padded_with_no_target(cache, tmp_path, window):
    soft = teach([Known()], cache, cache.ids[:1], tmp_path)
    padded = np.pad(soft.window(cache.ids[0], whole(cache, cache.ids[0])), ((0, 0), (20, 20), (20, 20)))
    rows = slice(window.row + 20, window.stop_row + 20)
    cols = slice(window.col + 20, window.stop_col + 20)
    np.testing.assert_array_equal(soft.window(cache.ids[0], window), padded[:, rows, cols])


def test_a_stopped_teacher_goes_on_where_it_stopped(cache, tmp_path):
    class Tiring(Known):
        def probabilities(self, reflectance):
            if self.asked == 2:
                raise KeyboardInterrupt
            return super().probabilities(reflectance)

    with pytest.raises(KeyboardInterrupt):
        teach([Tiring()], cache, cache.ids, tmp_path)
    fresh, progress = Known(), []
    teach([fresh], cache, cache.ids, tmp_path, on_progress=lambda done, total: progress.append((done, total)))
    assert fresh.asked == len(cache.ids) - 2
    assert progress[-1] == (len(cache.ids), len(cache.ids))
    again = Known()
    teach([again], cache, cache.ids, tmp_path)
    assert again.asked == 0


def test_another_teacher_never_takes_over_answers(cache, tmp_path):
    first = teach([Known("first")], cache, cache.ids[:1], tmp_path)
    other = Known("other", of=np.zeros_like)
    second = teach([other], cache, cache.ids[:1], tmp_path)
    assert other.asked == 1
    window = whole(cache, cache.ids[0])
    assert (first.window(cache.ids[0], window) != second.window(cache.ids[0], window)).any()


def test_an_item_that_nobody_was_asked_about(cache, tmp_path):
    soft = teach([Known()], cache, cache.ids[:1], tmp_path)
    with pytest.raises(RunError, match=r"no teacher output for 'labelled/s1'.*distil again"):
        soft.window(cache.ids[1], whole(cache, cache.ids[1]))
    with pytest.raises(RunError, match="does not exist"):
        SoftCache(tmp_path / "absent")


def test_teachers_that_do_not_fit_are_refused(cache, tmp_path):
    with pytest.raises(RunError, match="at least one teacher, got none"):
        teach([], cache, cache.ids, tmp_path)
    stranger = Known()
    stranger.classes = ("water", "land")
    with pytest.raises(RunError, match=r"'known' knows the classes water, land, the data has clear, cloud; map them"):
        teach([stranger], cache, cache.ids, tmp_path)
    with pytest.raises(BandError, match=r"swir16 are needed but the image has blue, green, red, nir"):
        teach([Known(bands=("swir16",))], cache, cache.ids, tmp_path)
    assert not list(tmp_path.iterdir())


def test_teachers_kept_apart_answer_as_each_alone(cache, tmp_path):
    low, high = Known("low", of=lambda x: np.clip(x, 0, 1)), Known("high", of=lambda x: 1 - np.clip(x, 0, 1))
    both = teach([low, high], cache, cache.ids[:2], tmp_path, apart=True)
    for item in cache.ids[:2]:
        window = whole(cache, item)
        alone = [teach([one], cache, [item], tmp_path).window(item, window) for one in (low, high)]
        np.testing.assert_array_equal(both.window(item, window), alone)
    cut = Window(row=-2, col=1, height=6, width=5)
    found = both.window(cache.ids[0], cut)
    assert found.shape == (2, 2, 6, 5)
    assert (found[..., :2, :] == 0).all()
    assert teach([low, high], cache, cache.ids[:2], tmp_path).folder != both.folder


@pytest.fixture
def few_files():
    """No more than 256 files may be open, as is the rule on some systems."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("few_files")
def test_answers_of_many_items_do_not_stay_open(cache, tmp_path):
    soft = teach([Known()], cache, cache.ids[:1], tmp_path)
    file = soft.record["files"][cache.ids[0]]
    window = whole(cache, cache.ids[0])
    wanted = soft.window(cache.ids[0], window)
    soft.record["files"] = {f"item-{number}": file for number in range(400)}
    found = [soft.window(item, window) for item in soft.record["files"]]
    assert all((one == wanted).all() for one in found)
    assert wanted.any()
