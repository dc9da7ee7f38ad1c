"""``satsqueeze pretrain`` and what starts from it, at the command line."""

import json
from pathlib import Path

import pytest

from satsqueeze.cli.main import main
from satsqueeze.core.files import read_json
from satsqueeze.nets.model import load_model

from .conftest import write_places

ZOO = Path(__file__).parents[2] / "zoo"
PRETRAIN = [
    "--model", "unet-2", "--fit.epochs", "1", "--fit.steps_per_epoch", "2", "--fit.batch_size", "4",
    "--fit.views.size", "24", "--fit.views.positions", "16", "--fit.views.place", r"(p\d+)_d",
    "--fit.contrast.width", "8", "--fit.progress", "false",
]  # fmt: skip
TRAIN = [
    "--model", "unet-2", "--fit.epochs", "1", "--fit.steps_per_epoch", "2", "--fit.batch_size", "4",
    "--fit.patch_size", "[24,24]", "--fit.progress", "false",
]  # fmt: skip


@pytest.fixture(scope="module")
def pretrained(places, tmp_path_factory):
    out = tmp_path_factory.mktemp("pretrained") / "run"
    assert main(["pretrain", str(places), "--out", str(out), *PRETRAIN]) == 0
    return out


def test_pretraining_is_done_once_and_says_what_to_do_next(pretrained, places, capsys):
    stamp = (pretrained / "pretrained/weights.safetensors").stat().st_mtime_ns
    assert main(["pretrain", str(places), "--out", str(pretrained), *PRETRAIN]) == 0
    told = capsys.readouterr()
    assert (pretrained / "pretrained/weights.safetensors").stat().st_mtime_ns == stamp
    assert "12 images, loss " in told.out
    assert f"--init {pretrained}" in told.out
    assert "uniformity" in told.out
    assert "probe" in told.out
    assert "done before" in told.err


def test_the_seed_decides_and_nothing_else(pretrained, places, tmp_path):
    for name, seed in (("again", "0"), ("other", "1")):
        assert main(["pretrain", str(places), "--out", str(tmp_path / name), *PRETRAIN, "--fit.seed", seed]) == 0
    first, again, other = (
        (out / "pretrained/weights.safetensors").read_bytes()
        for out in (pretrained, tmp_path / "again", tmp_path / "other")
    )
    assert first == again
    assert first != other
    for name in ("curves.png", "embedding.png"):
        assert (pretrained / "pretrained" / name).read_bytes() == (tmp_path / "again/pretrained" / name).read_bytes()
        assert (pretrained / "pretrained" / name).read_bytes() != (tmp_path / "other/pretrained" / name).read_bytes()


def test_pictures_that_are_gone_are_drawn_again(pretrained, places):
    picture = pretrained / "pretrained/embedding.png"
    before = picture.read_bytes()
    picture.unlink()
    assert main(["pretrain", str(places), "--out", str(pretrained), *PRETRAIN]) == 0
    assert picture.read_bytes() == before


def test_a_network_is_trained_from_it_with_few_labels(pretrained, places, tmp_path, capsys):
    out = tmp_path / "run"
    words = ["train", str(places), "--out", str(out), *TRAIN, "--init", str(pretrained), "--label_fraction", "0.5"]
    assert main(words) == 0
    told = capsys.readouterr()
    record = read_json(out / "stages/network.json")["result"]
    assert record["labels"] == 3
    assert f"3 labelled images, mIoU {record['test']['mean_jaccard']:.4f} on" in told.out
    assert "blue matched, green matched, red matched, nir matched" in told.err
    assert "3 fresh" in told.err
    assert record["start"]["layers"]["fresh"] == 1
    assert set(record["test"]["jaccard"]) == {"field", "wood", "cloud"}
    metrics = json.loads((out / "network/metrics.json").read_text())
    assert metrics["validation"]["mean_jaccard"] == record["validation"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--label_fraction", "0"], "SettingsError: --label_fraction is a share of the labels in (0, 1], got 0"),
        (["--model", "unet-4"], "SettingsError: unet-2 cannot start unet-4"),
        (["--init", "nowhere"], "RunError: nowhere holds no trained model"),
    ],
)
def test_what_does_not_fit_is_told(pretrained, places, tmp_path, capsys, words, message):
    out = tmp_path / "run"
    assert main(["train", str(places), "--out", str(out), *TRAIN, "--init", str(pretrained), *words]) == 2
    assert message in capsys.readouterr().err


def test_the_network_of_a_plan_is_pretrained_and_its_teacher_starts_from_it(places, tmp_path, capsys):
    planned, out = tmp_path / "planned", tmp_path / "pretrained"
    schedule = ["--plan.schedule.epochs", "1", "--plan.schedule.steps_per_epoch", "1"]
    assert main(["plan", str(places), "--out", str(planned), "--folds", "2", "--plan.norm", "batch", *schedule]) == 0
    size = read_json(planned / "plan.json")["fit"]["patch_size"][0]
    # Without --model: the plan names the network.
    words = ["--plan", str(planned), *PRETRAIN[2:], "--fit.views.size", str(size), "--fit.batch_size", "2"]
    assert main(["pretrain", str(places), "--out", str(out), *words]) == 0
    capsys.readouterr()
    assert main(["train", str(planned), "--init", str(out)]) == 0
    assert "layers: " in capsys.readouterr().err


def test_no_files_and_one_date_are_told(tmp_path, places, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["pretrain", str(tmp_path / "empty"), "--out", str(tmp_path / "a"), *PRETRAIN]) == 2
    assert "DataError" in capsys.readouterr().err
    single = write_places(tmp_path / "single", places=2, dates=1)
    words = ["--out", str(tmp_path / "b"), *PRETRAIN, "--fit.views.dates", "pairs"]
    assert main(["pretrain", str(single), *words]) == 2
    assert "SettingsError: pairs of dates are asked for" in capsys.readouterr().err


def test_labels_are_not_needed(tmp_path):
    bare = write_places(tmp_path / "bare", places=3, labelled=False)
    assert main(["pretrain", str(bare), "--out", str(tmp_path / "a"), *PRETRAIN]) == 0
    header = (tmp_path / "a/pretrained/history.csv").read_text().splitlines()[0]
    assert "uniformity" in header
    assert "knn" not in header


def test_a_classifier_is_the_encoder_of_a_network(places, tmp_path, capsys):
    out = tmp_path / "run"
    words = ["train", str(places), "--out", str(out), "--model", "encoder:resnet8", *TRAIN[2:]]
    assert main([*words, "--init", str(ZOO / "resnet8-encoder")]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "blue matched, green matched, red matched, nir fresh" in told
    assert read_json(out / "stages/network.json")["result"]["start"]["layers"]["matched"] == 17
    model = load_model(out / "network")
    assert (model.card.family, model.card.config.model) == ("encoder-unet", "resnet8")
    words[3] = str(tmp_path / "packaged")
    assert main([*words, "--init", str(ZOO / "eurosat-resnet8")]) == 0
    assert "blue matched, green matched, red matched, nir fresh" in " ".join(capsys.readouterr().err.split())


def test_an_unknown_network_is_answered_with_close_ones(places, tmp_path, capsys):
    for command in ("train", "pretrain"):
        words = [command, str(places), "--out", str(tmp_path / "run"), "--model", "encoder:resnet9"]
        assert main(words) == 2
        assert "unknown student 'encoder:resnet9'; did you mean encoder:resnet8 or" in capsys.readouterr().err
