"""Packages on images with something wrong, on a package whose every answer is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from satsqueeze.bench.robustness.figure import draw_robustness
from satsqueeze.bench.robustness.row import RobustnessRow, record_robustness_rows
from satsqueeze.bench.robustness.score import RobustnessSettings, robustness
from satsqueeze.bench.robustness.twins import twins_table
from satsqueeze.cli.main import main
from satsqueeze.core.errors import DataError, PackageError, RunError, SettingsError
from satsqueeze.core.files import write_json
from satsqueeze.data.corruptions import AIRLIGHT, CORRUPTIONS, haze_shares
from satsqueeze.data.dataset import open_dataset

from .test_evaluate import BANDS, CARD, CLASSES, SIDE, write, write_package


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return write_package(tmp_path_factory.mktemp("robust") / "package")


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Constant tiles of three classes with what they hold, float (N, 3), and their classes (N,)."""
    root, generator = tmp_path_factory.mktemp("tiles"), np.random.default_rng(0)
    (root / "dataset.yaml").write_text(CARD)
    means, truth = [], []
    for value, name in enumerate(CLASSES):
        for number in range(12):
            bands = generator.normal(200, 40, 3).round()
            bands[value] += 40
            write(root / name / f"{name}_{number:02}.tif", bands[:, None, None] * np.ones((3, SIDE, SIDE)))
            means.append(bands / 1000)
            truth.append(value)
    return root, np.array(means), np.array(truth)


def accuracies(found):
    return {(row.corruption, row.severity): row.accuracy for row in found.rows}


def test_every_cell_is_what_the_package_must_say(package, tiles):
    root, means, truth = tiles
    seen = []
    found = robustness(package, open_dataset(root), on_progress=lambda *n: seen.append(n))
    right = accuracies(found)
    clean = float((means.argmax(axis=1) == truth).mean())
    assert 0.5 < clean < 1
    assert len(found.rows) == 1 + 5 * 5
    assert seen[-1] == (36, 36)
    assert all(row.clean_accuracy == right["clean", 0] == pytest.approx(clean) for row in found.rows)
    # The brightest band stays it under another illumination, and a constant tile has nothing to blur.
    for severity in range(1, 6):
        assert right["brightness", severity] == right["blur", severity] == right["clean", 0]
        shares = haze_shares(BANDS, severity)
        hazy = (1 - shares) * means + shares * AIRLIGHT
        assert right["haze", severity] == pytest.approx((hazy.argmax(axis=1) == truth).mean())
    # Missing bands hold the scaling's mean, here 0: never the brightest. One band left decides by chance.
    assert right["missing-bands", 5] < 0.6
    assert right["missing-bands", 5] < right["missing-bands", 1] <= clean
    assert {row.images for row in found.rows} == {36}
    assert found.rows[0].cards == ("tiles",)


def test_the_same_images_are_hit_the_same_way_whoever_else_is_scored(package, tiles):
    root, _, _ = tiles
    dataset, settings = open_dataset(root), RobustnessSettings(corruptions=("missing-bands",), severities=(2,))
    whole = robustness(package, dataset, settings=settings)
    parts = [
        robustness(package, dataset, settings=settings, ids=[item.id for item in dataset.items[start::2]])
        for start in (0, 1)
    ]
    assert whole.rows[1].accuracy == pytest.approx(np.mean([part.rows[1].accuracy for part in parts]))
    assert robustness(package, dataset, settings=settings).rows == whole.rows
    other = RobustnessSettings(corruptions=("missing-bands",), severities=(2,), seed=1)
    assert robustness(package, dataset, settings=other).rows[0].accuracy == whole.rows[0].accuracy


def test_bad_files_are_left_out_of_every_row(package, tmp_path):
    (tmp_path / "dataset.yaml").write_text(CARD)
    for number in range(3):
        write(tmp_path / "River" / f"River_{number}.tif", np.full((3, SIDE, SIDE), 100))
    write(tmp_path / "River" / "River_3.tif", np.full((3, SIDE, SIDE), 20000))
    (tmp_path / "River" / "River_4.tif").write_bytes(b"broken")
    found = robustness(package, open_dataset(tmp_path), settings=RobustnessSettings(severities=(1,)))
    assert {row.images for row in found.rows} == {3}
    assert {row.left_out for row in found.rows} == {2}
    reasons = {entry["item"]: entry["reason"] for entry in found.quarantined}
    assert "reflectance" in reasons["tiles/River_3"]
    assert "cannot be read" in reasons["tiles/River_4"]
    with pytest.raises(DataError, match="no image to score among its 5 that is one of the 0 asked for"):
        robustness(package, open_dataset(tmp_path), ids=[])
    for path in tmp_path.rglob("*.tif"):
        path.write_bytes(b"broken")
    with pytest.raises(DataError, match="none of 5 images could be scored"):
        robustness(package, open_dataset(tmp_path))


def test_refusals(package, tiny_package, tiles):
    dataset = open_dataset(tiles[0])
    with pytest.raises(PackageError, match="is a segmentation package; robustness is measured"):
        robustness(tiny_package, dataset)
    with pytest.raises(SettingsError, match="limit must be at least 1"):
        robustness(package, dataset, limit=0)
    with pytest.raises(SettingsError, match=r"unknown corruption\(s\) rain; known: noise"):
        RobustnessSettings(corruptions=("rain",))
    with pytest.raises(SettingsError, match="severities are 1 to 5"):
        RobustnessSettings(severities=(6,))
    with pytest.raises(SettingsError, match="corruptions are scored once each, got blur, noise, blur; name each"):
        RobustnessSettings(corruptions=("blur", "noise", "blur"))


def test_images_of_a_split_that_the_data_lacks_are_told(package, tiles, tmp_path, capsys):
    dataset, split = open_dataset(tiles[0]), tmp_path / "split.json"
    ids = [item.id for item in dataset.items]
    message = r"1 of the 37 images asked for are not among the 36 of the data set: tiles/gone; check the data set"
    with pytest.raises(DataError, match=message):
        robustness(package, dataset, ids=[*ids, "tiles/gone"], limit=3)
    gone = [f"tiles/gone_{number}" for number in range(5)]
    write_json(split, {"format_version": 1, "train": [], "validation": [], "test": [*ids[:2], *gone]})
    assert main(["robustness", str(package), str(tiles[0]), "--split", str(split)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "5 of the 7 images asked for are not among the 36" in said
    assert "tiles/gone_0, tiles/gone_1, tiles/gone_2, ...; check" in said


def test_the_command_and_its_rows(package, tiles, tmp_path, capsys):
    root, _, _ = tiles
    rows, split = tmp_path / "rows.jsonl", tmp_path / "split.json"
    ids = [item.id for item in open_dataset(root).items]
    write_json(split, {"format_version": 1, "train": ids[:20], "validation": [], "test": ids[20:]})
    words = ["robustness", str(package), str(root), "--rows", str(rows)]
    assert main([*words, "--severities", "1,5", "--json", "--limit", "9"]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row.line() for row in RobustnessRow.read(rows)] == [json.dumps(row, sort_keys=True) for row in printed]
    assert len(printed) == 1 + 2 * len(CORRUPTIONS)
    assert {row["images"] for row in printed} == {9}
    assert main([*words, "--corruptions", "noise,haze", "--split", str(split)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "accuracy of brightest (fp32) on 16 images, % by severity"
    assert [line.split()[0] for line in said[1:]] == ["1", "clean", "noise", "haze"]
    assert len(said[-1].split()) == 6
    # Rows of the same package and precision are replaced, others stay.
    found = RobustnessRow.read(rows)
    assert {row.corruption for row in found} == {"clean", "noise", "haze"}
    record_robustness_rows(rows, [found[0].model_copy(update={"precision": "int8"})])
    assert len(RobustnessRow.read(rows)) == len(found) + 1
    rows.write_text(rows.read_text() + "{}\n")
    with pytest.raises(RunError, match="is no row of robustness"):
        RobustnessRow.read(rows)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--severities", "mild"), "mild"),
        (("--severities", "0"), "severities are 1 to 5"),
        (("--severities", "1,1"), "severities are scored once each, got 1, 1"),
        (("--corruptions", "rain"), "unknown corruption(s) rain"),
        (("--split", "absent.json"), "absent.json"),
    ],
)
def test_mistakes_are_explained(package, tiles, capsys, words, message):
    assert main(["robustness", str(package), str(tiles[0]), *words]) == 2
    assert message in capsys.readouterr().err


def twin(share, seed, severity, accuracy):
    return RobustnessRow(
        package="a", precision="int8", engine="onnx", corruption="blur" if severity else "clean", severity=severity,
        accuracy=accuracy, f1_macro=None, clean_accuracy=0.9, images=10, left_out=0, cards=("tiles",), seed=0,
        corrupted_share=share, training_seed=seed,
    )  # fmt: skip


def test_twins_stand_side_by_side_with_the_spread_of_their_seeds(tmp_path):
    plain = [twin(0.0, 0, 0, 0.9), twin(0.0, 0, 1, 0.5), twin(0.0, 1, 0, 0.8), twin(0.0, 1, 1, 0.3)]
    rows = [*plain, twin(0.5, 0, 1, 0.7)]
    absent = "\N{EN DASH}"
    assert twins_table(rows).splitlines()[2:] == [
        f"| blur | a | 0% | 85.0 ± 7.1 % | 40.0 ± 14.1 % |{f' {absent} |' * 4}",
        f"| blur | a | 50% | {absent} | 70.0 % |{f' {absent} |' * 4}",
    ]
    # Another precision is no further seed.
    mixed = twins_table([*rows, twin(0.5, 0, 1, 0.1).model_copy(update={"precision": "fp32"})]).splitlines()[2:]
    assert [line.split(" | ")[1] for line in mixed] == ["a", "a", "a, fp32"]
    assert "70.0 %" in mixed[1]
    record_robustness_rows(tmp_path / "rows.jsonl", rows)
    record_robustness_rows(tmp_path / "rows.jsonl", [twin(0.5, 0, 1, 0.6)])
    kept = RobustnessRow.read(tmp_path / "rows.jsonl")
    assert [row.accuracy for row in kept] == [0.9, 0.5, 0.8, 0.3, 0.6]
    draw_robustness(kept, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(DataError, match="nothing to draw"):
        draw_robustness(kept[:1], tmp_path / "none.png")


def test_a_figure_needs_rows(package, tiles, tmp_path, capsys):
    assert main(["robustness", str(package), str(tiles[0]), "--figure", str(tmp_path / "a.png")]) == 2
    assert "--rows" in capsys.readouterr().err
