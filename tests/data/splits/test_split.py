from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from satsqueeze.core.errors import RunError, SplitError
from satsqueeze.data.splits.split import Split, grouped_folds, holdout, load_splits, require_classes, save_splits


@dataclass(frozen=True)
class Thing:
    id: str
    groups: tuple[str, ...]
    source: str = "s"
    stratum: str = ""
    role: str = "evaluate"
    labelled: bool = True
    class_pixels: tuple[int, ...] = field(default=(5, 5))


things = st.lists(
    st.tuples(
        st.lists(st.integers(0, 12), min_size=1, max_size=2, unique=True),
        st.sampled_from(["evaluate", "evaluate", "train"]),
        st.booleans(),
        st.sampled_from(["a", "b"]),
    ),
    min_size=1,
    max_size=40,
).map(
    lambda rows: [
        Thing(str(number), tuple(map(str, groups)), role=role, labelled=labelled, stratum=stratum)
        for number, (groups, role, labelled, stratum) in enumerate(rows)
    ]
)


@given(things, st.integers(2, 4), st.integers(0, 5))
def test_no_scene_is_on_two_sides(items, folds, seed):
    by_id = {item.id: item for item in items}
    validated = [item.id for item in items if item.role == "evaluate" and item.labelled]
    try:
        splits = grouped_folds(items, folds=folds, seed=seed)
    except SplitError:
        return
    assert splits == grouped_folds(list(reversed(items)), folds=folds, seed=seed)
    assert sorted(item_id for split in splits for item_id in split.validation) == sorted(validated)
    for split in splits:
        assert split.validation
        held = {group for item_id in split.validation for group in by_id[item_id].groups}
        assert all(held.isdisjoint(by_id[item_id].groups) for item_id in split.train)
        left_out = set(by_id) - set(split.train) - set(split.validation)
        assert all(not held.isdisjoint(by_id[item_id].groups) for item_id in left_out)


def test_items_that_share_a_group_through_others_stay_together():
    items = [Thing("1", ("a",)), Thing("2", ("a", "b")), Thing("3", ("b", "c")), Thing("4", ("d",))]
    splits = grouped_folds(items, folds=2, seed=0)
    assert {split.validation for split in splits} == {("1", "2", "3"), ("4",)}


def test_folds_are_balanced_by_stratum_and_class():
    items = [
        Thing(
            f"{biome}{scene}",
            (f"{biome}{scene}",),
            stratum=biome,
            class_pixels=(10 * (scene % 2), 10 * (1 - scene % 2)),
        )
        for biome in "abcd"
        for scene in range(10)
    ]
    by_id = {item.id: item for item in items}
    for seed in range(5):
        for split in grouped_folds(items, folds=5, seed=seed):
            assert len(split.validation) == 8
            members = [by_id[item_id] for item_id in split.validation]
            assert all(sum(item.stratum == biome for item in members) == 2 for biome in "abcd")
            assert 3 <= sum(item.class_pixels[0] > 0 for item in members) <= 5


def test_seeds_give_different_folds():
    items = [Thing(str(number), (str(number),)) for number in range(30)]
    assert grouped_folds(items, folds=3, seed=0) != grouped_folds(items, folds=3, seed=1)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_holdout_takes_its_share(share):
    items = [Thing(str(number), (str(number // 2),)) for number in range(40)]
    split = holdout(items, share=share, seed=0)
    assert len(split.validation) == pytest.approx(share * 40, abs=2)
    assert len(split.train) + len(split.validation) == 40


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda items: grouped_folds(items, folds=4, seed=0), "cannot make 4 folds from 6 items in 3 separate groups"),
        (lambda items: grouped_folds(items, folds=1, seed=0), "expected at least 2 folds"),
        (lambda items: holdout(items, share=0.0, seed=0), r"share of 0.0 of 6 items.*expected a share in \(0, 1\)"),
        (lambda items: holdout(items[:2], share=0.5, seed=0), "in 1 separate groups"),
    ],
)
def test_too_few_groups(run, message):
    with pytest.raises(SplitError, match=message):
        run([Thing(str(number), (str(number // 2),)) for number in range(6)])


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        ([(9, 0)] * 6, "the training side of fold 0 holds only class 0 in its 4 items; expected at least two"),
        ([(9, 0, 0), (0, 9, 0)] + [(0, 0, 9)] * 4, "holds only class"),
        ([(0, 0)] * 6, "no labelled pixel"),
    ],
)
def test_single_class_split(pixels, message):
    items = [Thing(str(number), (str(number),), class_pixels=row) for number, row in enumerate(pixels)]
    with pytest.raises(SplitError, match=message):
        grouped_folds(items, folds=3, seed=0)


def test_single_class_validation():
    items = [Thing("1", ("1",), class_pixels=(5, 0)), Thing("2", ("2",), class_pixels=(5, 5))]
    with pytest.raises(SplitError, match=r"the validation side of it holds only class 0.*Use another seed"):
        require_classes(Split(train=("2",), validation=("1",)), items, name="it")
    require_classes(Split(train=("x",), validation=("y",)), [], name="it")


def test_saved_splits_come_back(tmp_path):
    splits = (Split(train=("a", "b"), validation=("c",)), Split(train=(), validation=("d",)))
    save_splits(tmp_path / "splits.json", splits)
    assert load_splits(tmp_path / "splits.json") == splits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format_version": 9, "splits": []}', "has format 9, this satsqueeze reads 1"),
        ('{"format_version": 1}', "holds no splits"),
        ('{"format_version": 1, "splits": [{"train": []}]}', "holds no splits"),
        ("[]", "holds no splits"),
        ("{", "not readable JSON"),
    ],
)
def test_unusable_split_file(tmp_path, text, message):
    (tmp_path / "splits.json").write_text(text)
    with pytest.raises(RunError, match=message):
        load_splits(tmp_path / "splits.json")


def test_features_ignore_order():
    items = [Thing(str(number), (str(number),), class_pixels=(number, 9)) for number in range(9)]
    shuffled = [items[i] for i in np.random.default_rng(0).permutation(9)]
    assert grouped_folds(items, folds=3, seed=2) == grouped_folds(shuffled, folds=3, seed=2)
