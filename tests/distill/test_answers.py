"""Cached teacher logits: every view of every item, asked once, resumed after a kill, and refused for other data."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from satsqueeze.core.errors import BandError, DataError, RunError
from satsqueeze.core.files import read_json, write_json
from satsqueeze.data.sampling.class_sampler import ClassSampler
from satsqueeze.data.sampling.dihedral import VIEWS, view_of
from satsqueeze.distill import answers as module
from satsqueeze.distill.answers import LOGITS, RECORD, TeacherAnswers, answer
from satsqueeze.distill.calibration import calibrate, calibrate_teachers

BANDS = ("blue", "green", "red", "nir")
CLASSES = ("field", "forest", "water")


class Corner:
    """A teacher that sees the upper left pixel of some bands, so that each view has an answer of its own."""

    task = "classification"

    def __init__(self, name="corner", *, bands=BANDS, classes=CLASSES, gain=1.0, stop_after=None):
        self.name, self.bands, self.classes, self.gain = name, bands, classes, gain
        self.fingerprint = f"{name}-{gain}-{bands}"
        self.asked, self.shapes, self.stop_after = 0, [], stop_after

    def logits(self, batch):
        if self.stop_after is not None and self.asked >= self.stop_after:
            raise KeyboardInterrupt
        self.asked += len(batch)
        self.shapes.append(batch.shape)
        assert batch.dtype == np.float32
        assert batch.flags["C_CONTIGUOUS"]
        return np.float32(self.gain) * (batch[:, : len(CLASSES), 0, 0] - batch[:, -1:, 0, 1])


@pytest.fixture
def cache(tmp_path, write_class_cache):
    return write_class_cache(tmp_path / "cache", shapes=[(8, 8)] * 7)


def expected(cache, teacher, position, view):
    bands = [BANDS.index(name) for name in teacher.bands]
    turned = view_of(cache.image(position)[bands][None], view)
    return teacher.logits(np.ascontiguousarray(turned))[0]


def test_every_view_of_every_item_is_answered(tmp_path, cache):
    teachers = [Corner("a"), Corner("b", bands=("nir", "green", "blue"), gain=3.0)]
    answers = answer(teachers, cache, cache.ids, tmp_path / "answers", batch_size=3)
    assert answers.teachers == ("a", "b")
    positions, views = np.repeat(np.arange(7), VIEWS), np.tile(np.arange(VIEWS), 7)
    rows = answers.rows(positions, views)
    assert rows.dtype == np.float32
    assert rows.shape == (56, 2, 3)
    for row, position, view in zip(rows, positions, views, strict=True):
        want = [expected(cache, teacher, position, view) for teacher in teachers]
        np.testing.assert_allclose(row, want, rtol=1e-3, atol=1e-4)
    assert np.abs(rows[:8, 0] - rows[0, 0]).max() > 0.01, "views must differ for this test to mean anything"


def test_the_sampler_deals_answers_to_the_views_it_lays(tmp_path, cache):
    teacher = Corner(gain=5.0)
    answers = answer([teacher], cache, cache.ids, tmp_path / "answers")
    sampler = ClassSampler(cache, cache.ids, batch_size=5, seed=3, answers=answers)
    for step in range(6):
        batch = sampler.batch(step)
        np.testing.assert_allclose(batch.answers[:, 0], teacher.logits(batch.images), rtol=1e-3, atol=1e-3)


def test_pooled_answers_are_the_mean_over_the_views(tmp_path, cache):
    single = answer([Corner()], cache, cache.ids, tmp_path / "answers")
    pooled = TeacherAnswers(single.folders, cache, pooled=True)
    position = np.full(VIEWS, 2)
    want = single.rows(position, np.arange(VIEWS)).mean(axis=0)
    np.testing.assert_allclose(pooled.rows(position, np.arange(VIEWS)), np.tile(want, (VIEWS, 1, 1)), atol=1e-6)
    assert pooled.fingerprint != single.fingerprint
    assert (single.described, pooled.described) == ("corner corner-1.0-(", "corner corner-1.0-(, pooled over views")


def test_one_of_several_teachers(tmp_path, cache):
    both = answer([Corner("a"), Corner("b", gain=2.0)], cache, cache.ids, tmp_path / "answers")
    positions, views = np.arange(7), np.arange(7)
    np.testing.assert_array_equal(both.only(1).rows(positions, views), both.rows(positions, views)[:, 1:])
    assert both.only(1).teachers == ("b",)


def test_answers_travel_to_other_processes(tmp_path, cache):
    answers = answer([Corner()], cache, cache.ids, tmp_path / "answers")
    other = pickle.loads(pickle.dumps(answers))
    positions, views = np.arange(7), np.zeros(7, int)
    np.testing.assert_array_equal(other.rows(positions, views), answers.rows(positions, views))


def test_nobody_is_asked_twice(tmp_path, cache):
    first, second = Corner("a"), Corner("b", gain=2.0)
    answer([first], cache, cache.ids[:4], tmp_path / "answers")
    assert first.asked == 4 * VIEWS
    answer([first, second], cache, [*cache.ids[:5], cache.ids[0]], tmp_path / "answers")
    assert (first.asked, second.asked) == (5 * VIEWS, 5 * VIEWS)
    answer([second, first], cache, cache.ids[:5], tmp_path / "answers")
    assert (first.asked, second.asked) == (5 * VIEWS, 5 * VIEWS)
    answer([Corner("a", gain=9.0)], cache, cache.ids[:1], tmp_path / "answers")
    assert len(list((tmp_path / "answers").iterdir())) == 3


def test_a_killed_run_continues(tmp_path, cache):
    with pytest.raises(KeyboardInterrupt):
        answer([Corner(stop_after=2 * VIEWS + 5)], cache, cache.ids, tmp_path / "answers", batch_size=2)
    told = []
    again = Corner()
    answers = answer(
        [again], cache, cache.ids, tmp_path / "answers", on_progress=lambda *two: told.append(two), batch_size=2
    )
    assert again.asked == 5 * VIEWS, "the first two items were on disk"
    assert told == [(2, 7), (4, 7), (6, 7), (7, 7)]
    whole = answer([Corner()], cache, cache.ids, tmp_path / "fresh")
    every = np.arange(7)
    np.testing.assert_array_equal(answers.rows(every, every), whole.rows(every, every))


def test_a_kill_before_the_record_starts_over(tmp_path, cache):
    answers = answer([Corner()], cache, cache.ids, tmp_path / "answers")
    (answers.folders[0] / RECORD).unlink()
    again = Corner()
    answer([again], cache, cache.ids, tmp_path / "answers")
    assert again.asked == 7 * VIEWS


def test_items_that_were_not_asked_about_have_no_rows(tmp_path, cache):
    answers = answer([Corner()], cache, cache.ids[:5], tmp_path / "answers")
    assert answers.rows(np.arange(5), np.zeros(5, int)).shape == (5, 1, 3)
    with pytest.raises(RunError, match="no teacher answers for 2 of 7 items, the first being 'i5'"):
        answers.rows(np.arange(7), np.zeros(7, int))
    with pytest.raises(DataError, match="absent is not in the cache"):
        answer([Corner()], cache, ["absent"], tmp_path / "answers")


def test_images_of_several_sizes_and_no_squares(tmp_path, write_class_cache):
    shapes = [(8, 8), (8, 8), (6, 9), (6, 9), (8, 8)]
    cache = write_class_cache(tmp_path / "cache", shapes=shapes)
    teacher = Corner()
    answers = answer([teacher], cache, cache.ids, tmp_path / "answers")
    assert {shape[2:] for shape in teacher.shapes} == {(8, 8), (6, 9)}
    for position in range(5):
        for view in range(VIEWS if position in (0, 1, 4) else 4):
            row = answers.rows(np.array([position]), np.array([view]))[0, 0]
            np.testing.assert_allclose(row, expected(cache, teacher, position, view), rtol=1e-3, atol=1e-4)


def test_huge_logits_are_clipped_and_others_refused(tmp_path, cache):
    clipped = answer([Corner(gain=1e7)], cache, cache.ids, tmp_path / "answers").rows(np.arange(7), np.zeros(7, int))
    assert np.abs(clipped).max() == np.finfo(np.float16).max
    with pytest.raises(RunError, match="'corner' answers NaN or infinity, first for 'i0'; ask it at precision fp32"):
        answer([Corner(gain=np.nan)], cache, cache.ids, tmp_path / "answers")


@pytest.mark.parametrize(
    ("teacher", "error", "message"),
    [
        (
            Corner(classes=("field", "forest", "town")),
            RunError,
            "the teacher lacks water, the data lacks town; .*class_map",
        ),
        (
            Corner(classes=("field", "water", "forest")),
            RunError,
            r"in another order \(field, water, forest; data: field",
        ),
        (Corner(bands=("blue", "swir16")), BandError, "'corner' cannot see this data: band.* swir16 are needed"),
    ],
)
def test_teachers_that_do_not_fit_the_data_are_refused(tmp_path, cache, teacher, error, message):
    with pytest.raises(error, match=message):
        answer([teacher], cache, cache.ids, tmp_path / "answers")
    assert not (tmp_path / "answers").exists()


def test_no_teacher_and_another_task_are_refused(tmp_path, cache):
    with pytest.raises(RunError, match="at least one teacher, got none"):
        answer([], cache, cache.ids, tmp_path / "answers")
    with pytest.raises(RunError, match="answers of at least one teacher"):
        TeacherAnswers([], cache)
    several = Corner()
    several.task = "multi-label"
    with pytest.raises(RunError, match=r"is for multi-label, the data .* for classification"):
        answer([several], cache, cache.ids, tmp_path / "answers")


def test_a_teacher_of_maps_is_refused(tmp_path, cache):
    teacher = Corner()
    teacher.logits = lambda batch: np.zeros((len(batch), 3, 8, 8), np.float32)
    with pytest.raises(RunError, match=r"answers \(7, 8, 3, 8, 8\), expected \(7, 8, 3\); it is no classifier"):
        answer([teacher], cache, cache.ids, tmp_path / "answers")


def test_answers_of_other_data_or_teachers_are_refused(tmp_path, cache, write_class_cache):
    answers = answer([Corner()], cache, cache.ids, tmp_path / "answers")
    home = answers.folders[0]
    other = write_class_cache(tmp_path / "other", shapes=[(8, 8)] * 7, seed=1)
    with pytest.raises(RunError, match="another format or other data"):
        TeacherAnswers([home], other)
    with pytest.raises(RunError, match="does not exist"):
        TeacherAnswers([tmp_path / "nothing"], cache)
    record = read_json(home / RECORD)
    write_json(home / RECORD, {**record, "teacher": {"name": "corner", "fingerprint": "changed"}})
    with pytest.raises(RunError, match="holds answers of a teacher changed, not of 'corner'"):
        answer([Corner()], cache, cache.ids, tmp_path / "answers")
    write_json(home / RECORD, {**record, "format_version": 99})
    with pytest.raises(RunError, match="another format"):
        TeacherAnswers([home], cache)


def test_a_damaged_file_is_refused(tmp_path, cache):
    home = answer([Corner()], cache, cache.ids, tmp_path / "answers").folders[0]
    np.save(home / LOGITS, np.zeros((7, 8, 4), np.float16))
    with pytest.raises(RunError, match=r"holds float16 \(7, 8, 4\), expected float16 \(7, 8, 3\)"):
        answer([Corner()], cache, cache.ids, tmp_path / "answers")
    (home / LOGITS).write_bytes(b"\x93NUMPY cut")
    with pytest.raises(RunError, match=r"is not readable .*remove"):
        TeacherAnswers([home], cache)


def test_a_full_disk_is_told(tmp_path, cache, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.np, "save", fail)
    with pytest.raises(RunError, match="the disk is full while writing"):
        answer([Corner()], cache, cache.ids, tmp_path / "answers")


@pytest.mark.parametrize("task", ["classification", "multi-label"])
def test_teachers_are_calibrated_on_all_views_of_validation_images(tmp_path, write_class_cache, task):
    cache = write_class_cache(tmp_path / "cache", shapes=[(8, 8)] * 30, task=task)
    teachers = [Corner("a"), Corner("b", gain=40.0)]
    for teacher in teachers:
        teacher.task = task
    answers = answer(teachers, cache, cache.ids, tmp_path / "answers")
    found = calibrate_teachers(answers, cache.ids[10:20])
    positions, views = np.repeat(np.arange(10, 20), VIEWS), np.tile(np.arange(VIEWS), 10)
    rows = answers.rows(positions, views)
    for number in range(2):
        assert found[number] == calibrate(rows[:, number], cache.targets[positions], task=task)
    assert found[1].temperature > 4 * found[0].temperature or found[1].temperature == pytest.approx(20, rel=1e-3)
