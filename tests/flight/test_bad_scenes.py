"""Bad scenes are put aside with a reason, the others are finished, and nothing is ever half-written."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest
import rasterio

from satsqueeze.cli.main import main
from satsqueeze.core.errors import RunError
from satsqueeze.flight.ledger import LEDGER, Ledger, SceneRow
from satsqueeze.flight.scene_run import clear_stale

from .damage import damaged_scenes
from .scene_files import write_scene


def rows(folder):
    return [json.loads(line) for line in (folder / LEDGER).read_text().splitlines()]


def mask_of(path):
    with rasterio.open(path) as source:
        return source.read(1)


@pytest.fixture
def run(package, capsys):
    def call(*words):
        capsys.readouterr()
        status = main(["predict", *map(str, words), "--package", str(package), "--threads", "1", "--json"])
        out, err = capsys.readouterr()
        return status, json.loads(out) if out else None, err

    return call


@pytest.mark.filterwarnings("ignore")  # GDAL has much to say about these files
def test_two_hundred_damaged_scenes(run, tmp_path):
    damaged = list(damaged_scenes(tmp_path / "in"))
    assert len(damaged) >= 200
    assert len({case.name for case in damaged}) == len(damaged)
    sound = [tmp_path / f"in/sound/{kind}.tif" for kind in ("tiles", "strips", "plain")]
    out = tmp_path / "out"
    status, told, _ = run(*sound, *(case.path for case in damaged), "--out", out)
    assert status == 1
    found = rows(out)
    by_source = {}
    for row in found:
        by_source.setdefault(row["source"], []).append(row)
    for case in damaged:
        mine = [row for source, kept in by_source.items() for row in kept if _is_of(source, case.path)]
        assert mine, f"{case.name} was lost"
        for row in mine:
            if row["status"] == "done":
                assert case.expect == "either", f"{case.name} passed"
                assert mask_of(out / f"{row['scene']}.tif").ndim == 2
            else:
                assert len(row["reason"]) > 20
                assert not row["reason"].startswith("unexpected"), f"{case.name}: {row['reason']}"
    done = {row["scene"] for row in found if row["status"] == "done"}
    assert {"tiles", "strips", "plain"} <= done
    assert {path.name for path in out.iterdir()} == {LEDGER, *(f"{d}.tif" for d in done), *(f"{d}.json" for d in done)}
    assert told["quarantined"] == len(found) - len(done)
    # Again: what is done is left alone, what was put aside is tried again.
    status, told, _ = run(*sound, *(case.path for case in damaged[:5]), "--out", out)
    assert (status, told["done"], told["done_before"], told["quarantined"]) == (1, 0, 3, 5)


def _is_of(source, path):
    return source == str(path) or source.startswith(f"{path}/")


def test_sound_scenes_give_status_0_and_a_second_run_does_nothing(run, tmp_path):
    for seed in range(3):
        write_scene(tmp_path / f"in/scene{seed}.tif", 60, 50, seed=seed)
    out = tmp_path / "out"
    assert run(tmp_path / "in", "--out", out)[0] == 0
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.tif")}
    status, told, _ = run(tmp_path / "in", "--out", out)
    assert (status, told["done"], told["done_before"]) == (0, 0, 3)
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.tif")} == before
    (out / "scene1.tif").unlink()
    (out / "scene2.tif").write_bytes(b"short")
    write_scene(tmp_path / "in/scene0.tif", 60, 50, seed=9)
    assert run(tmp_path / "in", "--out", out)[1]["done"] == 3
    assert run(tmp_path / "in", "--out", out, "--precision", "fp32")[1]["done"] == 3
    assert [row["scene"] for row in rows(out)] == ["scene0", "scene1", "scene2"]


def test_a_full_disk_leaves_nothing(run, tmp_path):
    write_scene(tmp_path / "in/large.tif", 400, 300)
    write_scene(tmp_path / "in/small.tif", 60, 50)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        status, told, _ = run(tmp_path / "in", "--out", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 1
    assert told["done"] == 1
    large = next(row for row in rows(tmp_path / "out") if row["scene"] == "large")
    assert (large["status"], large["error"]) == ("quarantined", "RunError")
    assert "is the disk full" in large["reason"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [LEDGER, "small.json", "small.tif"]


def test_a_folder_that_cannot_be_written_is_an_error_for_all(run, tmp_path):
    write_scene(tmp_path / "in/scene.tif", 40, 30)
    (tmp_path / "file").write_text("in the way")
    status, _, err = run(tmp_path / "in", "--out", tmp_path / "file" / "out")
    assert status == 2
    assert "RunError: cannot write" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_permission_denied(run, tmp_path):
    write_scene(tmp_path / "in/scene.tif", 40, 30)
    (tmp_path / "out").mkdir(mode=0o500)
    status, _, err = run(tmp_path / "in", "--out", tmp_path / "out")
    assert status == 2
    assert "cannot write" in err


def test_a_name_that_is_no_utf_8_is_told_as_such(run, tmp_path):
    scene = write_scene(tmp_path / "in" / "scene.tif", 40, 36)
    scene.rename(os.fsdecode(os.fsencode(scene.parent) + b"/\xff.tif"))
    status, record, _ = run(tmp_path / "in", "--out", tmp_path / "out")
    assert (status, record["quarantined"]) == (2, 1)
    assert "rename it" in record["scenes"][0]["reason"]


def test_killed_in_the_middle(package, tmp_path, run):
    for seed in range(5):
        write_scene(tmp_path / f"in/scene{seed}.tif", 700, 600, seed=seed)
    out = tmp_path / "out"
    words = ("predict", tmp_path / "in", "--out", out, "--package", package, "--threads", 1)
    process = subprocess.Popen(
        [sys.executable, "-m", "satsqueeze.cli.main", *map(str, words)], stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if (out / LEDGER).exists() and any(path.name.startswith(".") for path in out.iterdir()):
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {row["scene"] for row in rows(out)} if (out / LEDGER).exists() else set()
    assert all(mask_of(out / f"{scene}.tif").shape == (700, 600) for scene in done)
    assert {path.stem for path in out.glob("[!.]*.tif")} - done <= {f"scene{len(done)}"}
    status, told, _ = run(tmp_path / "in", "--out", out)
    assert (status, told["done_before"], told["done"]) == (0, len(done), 5 - len(done))
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_stale_files_of_the_living_stay(tmp_path):
    mine = tmp_path / f".scene.{os.getpid()}.part.tif"
    dead, strips, other = (
        tmp_path / ".a.4194304.part.tif",
        tmp_path / "..a.4194304.part.4194304.strips.part.tif",
        tmp_path / ".b.tif",
    )
    for path in (mine, dead, strips, other):
        path.write_bytes(b"")
    assert set(clear_stale([tmp_path, tmp_path / "absent"])) == {dead, strips}
    assert set(tmp_path.iterdir()) == {mine, other}


def row(scene, **more):
    return SceneRow(scene=scene, source="x", status="done", key="k", **more)


def test_a_torn_last_line_is_mended_and_other_nonsense_refused(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"1234")
    ledger = Ledger(tmp_path)
    ledger.add(row("a", outputs={"mask": {"file": "a.tif", "bytes": 4}}))
    ledger.add(row("b"))
    path = tmp_path / LEDGER
    path.write_bytes(path.read_bytes()[:-40])
    again = Ledger(tmp_path)
    assert again.is_done("a", "k")
    assert not again.is_done("b", "k")
    assert not again.is_done("a", "another")
    again.add(row("c"))
    assert [r["scene"] for r in rows(tmp_path)] == ["a", "c"]
    path.write_text("nonsense\n{}\n")
    with pytest.raises(RunError, match="line 1"):
        Ledger(tmp_path)


def test_two_runs_in_one_folder_keep_each_others_rows(tmp_path):
    first, second = Ledger(tmp_path), Ledger(tmp_path)
    first.add(row("a"))
    second.add(row("b"))
    first.tidy(["a"])
    second.tidy(["b"])
    assert [r["scene"] for r in rows(tmp_path)] == ["b", "a"]
