"""Images that pass in rows: the mask of the whole to the last byte, for any rows, columns, panels and buffer."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import pytest

from satsqueeze.cli.main import main
from satsqueeze.core.buffer import Buffer
from satsqueeze.core.errors import PackageError
from satsqueeze.core.package import read_manifest, seal, verify
from satsqueeze.data.scene.reader import open_scene
from satsqueeze.export.stream import UnstreamableError, write_stream
from satsqueeze.flight.engines.onnx_engine import OnnxEngine
from satsqueeze.flight.opening import open_package
from satsqueeze.flight.passages.fly import fly
from satsqueeze.flight.passages.scene_flight import SceneFlight
from satsqueeze.flight.plans.planner import plan_scene
from satsqueeze.flight.plans.row_flight import RowFlight, open_rows, same_mask
from satsqueeze.flight.plans.scene_plan import ScenePlan
from satsqueeze.flight.plans.stream_plan import StreamPlan

from .conftest import MULTIPLE, hand_made_graph, write_package
from .scene_files import write_scene
from .test_scene import MEMORY, Kept, whole


@pytest.fixture(scope="module")
def streamed(tmp_path_factory):
    """A package with graphs for rows."""
    folder = write_package(tmp_path_factory.mktemp("rows") / "package")
    manifest = verify(folder)
    stream = write_stream(folder / "int8.onnx", folder, multiple=MULTIPLE)
    for name in ("flight.json", "flight.sha256"):
        (folder / name).unlink()
    seal(folder, manifest.model_copy(update={"stream": stream}))
    return folder


@pytest.fixture(scope="module")
def model(streamed):
    return open_package(streamed, precision="int8", engine="onnx", threads=2, streams=2)


@pytest.fixture(scope="module")
def rows(model, streamed):
    found = open_rows(model.engine, streamed, model.manifest, model.graph)
    assert isinstance(found, RowFlight)
    return found


@pytest.fixture(scope="module")
def scene_file(tmp_path_factory):
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.tif", 211, 173)


def streamed_plan(rows, *, step, strip, tile, panel, reach=0, height=211, width=173, streams=2):
    return StreamPlan(
        height=height, width=width, multiple=MULTIPLE, cache_bytes=2**20, expected_bytes=0, streams=streams,
        tile_width=tile, panel_width=panel, halo=12 + (4 if reach else 0), strip=strip, step=step,
        delay=rows.stream.delay, reach=reach,
    )  # fmt: skip


def flown(model, rows, path, plan, buffer=None):
    with open_scene(path, want=model.bands) as reader:
        sink = Kept()
        fly(SceneFlight(reader=reader, engine=model.engine, plan=plan, classes=4, sink=sink, rows=rows, buffer=buffer))
    return sink.mask


@pytest.mark.parametrize("panel", [64, 100, 173])
@pytest.mark.parametrize(("step", "strip", "tile"), [(12, 12, 40), (12, 48, 176), (40, 40, 60), (32, 96, 44)])
def test_the_mask_is_that_of_the_whole(model, rows, scene_file, step, strip, tile, panel):
    plan = streamed_plan(rows, step=step, strip=strip, tile=tile, panel=panel)
    assert plan.overhead >= 1
    np.testing.assert_array_equal(flown(model, rows, scene_file, plan), whole(model, scene_file).mask)


@pytest.mark.parametrize("radius", [1.0, 3.5])
def test_a_buffer_sees_across_calls_and_columns(model, rows, scene_file, radius):
    buffer = Buffer(radius=radius, foreground=(1, 2))
    want = buffer.widen(whole(model, scene_file).mask)
    for step, strip, tile, panel in ((12, 12, 48, 173), (16, 64, 64, 100)):
        plan = streamed_plan(rows, step=step, strip=strip, tile=tile, panel=panel, reach=buffer.reach)
        np.testing.assert_array_equal(flown(model, rows, scene_file, plan, buffer), want)


@pytest.mark.parametrize("height", [32, 33, 47, 64, 90])
def test_any_height_is_covered_once(model, rows, tmp_path, height):
    path = write_scene(tmp_path / "a.tif", height, 50)
    plan = streamed_plan(rows, step=12, strip=24, tile=52, panel=50, height=height, width=50)
    assert sum(call.rows for call in plan.calls) == plan.rows
    assert plan.calls[-1].rows >= 2 * MULTIPLE
    np.testing.assert_array_equal(flown(model, rows, path, plan), whole(model, path).mask)


def test_rows_are_planned_where_tiles_repeat_and_fit_the_memory(model, rows, scene_file):
    memory = replace(MEMORY, streams=2)
    with open_scene(scene_file, want=model.bands) as reader:
        ample = plan_scene(reader, model.manifest, memory, rows=rows)
        assert isinstance(ample, ScenePlan), "one tile repeats nothing"

    class Large:
        bands, dtype, width, height, block_width, block_height, gsd_m = (
            model.bands,
            "uint16",
            9000,
            9000,
            512,
            512,
            10.0,
        )
        block_row_bytes = 9000 * 512 * 8

    far = model.manifest.model_copy(update={"receptive_field": 160})
    tiled = plan_scene(Large(), far, memory, max_ram=400 * 2**20)
    plan = plan_scene(Large(), far, memory, max_ram=400 * 2**20, rows=rows)
    assert isinstance(plan, StreamPlan)
    assert plan.overhead < tiled.overhead
    assert plan.expected_bytes <= 400 * 2**20
    steps = list(plan.steps())
    assert steps[0].calls[0].place == "first"
    assert [call.place for call in plan.calls[1:-1]] == ["middle"] * (len(plan.calls) - 2)
    assert sum(step.core.height * step.core.width for step in steps if step.core) == 9000**2
    assert plan.to_dict()["step"] == plan.step


def test_a_graph_for_rows_that_differs_is_not_flown(model, rows, streamed, tmp_path):
    other = tmp_path / "other.onnx"
    onnx.save(hand_made_graph(seed=5), other)
    engine = OnnxEngine(other)
    assert not same_mask(rows.graph, partial(engine.run, probabilities=False), bands=4, rows=12, width=32)
    assert open_rows(engine, streamed, model.manifest, model.graph) is None
    fp32 = open_package(streamed, precision="fp32", engine="onnx")
    assert open_rows(fp32.engine, streamed, fp32.manifest, fp32.graph) is None


def test_a_graph_for_rows_that_does_not_run_costs_no_scene(model, streamed, tmp_path):
    onnx.save(hand_made_graph(), tmp_path / "int8.middle.onnx")
    for name in ("int8.first.onnx", "int8.last.onnx"):
        (tmp_path / name).write_bytes((streamed / name).read_bytes())
    assert open_rows(model.engine, tmp_path, model.manifest, model.graph) is None
    (tmp_path / "int8.last.onnx").write_bytes(b"no graph")
    assert open_rows(model.engine, tmp_path, model.manifest, model.graph) is None


def test_what_looks_at_the_whole_cannot_be_streamed(tmp_path):
    onnx.save(hand_made_graph(reach_further=True), tmp_path / "g.onnx")
    with pytest.raises(UnstreamableError, match="ReduceMean"):
        write_stream(tmp_path / "g.onnx", tmp_path, multiple=MULTIPLE)


@pytest.mark.parametrize("in_order", [True, False], ids=["in order", "as older packages have it"])
def test_a_float_graph_streams_to_the_same_classes(tmp_path, in_order):
    graph = hand_made_graph()
    if not in_order:
        nodes = list(graph.graph.node)[::-1]
        del graph.graph.node[:]
        graph.graph.node.extend(nodes)
    onnx.save(graph, tmp_path / "g.onnx")
    stream = write_stream(tmp_path / "g.onnx", tmp_path, multiple=MULTIPLE)
    engine = OnnxEngine(tmp_path / "g.onnx")
    assert stream.least_rows % MULTIPLE == 0
    assert same_mask(
        engine.rows(tmp_path, stream), partial(engine.run, probabilities=False), bands=4, rows=24, width=32
    )


def test_rows_are_added_to_a_package(tmp_path):
    folder = write_package(tmp_path / "package")
    before = verify(folder)
    assert main(["package", "rows", str(folder)]) == 0
    after = verify(folder)
    assert set(after.files) - set(before.files) == {f"int8.{place}.onnx" for place in ("first", "middle", "last")}
    assert after.stream.delay > 0
    assert main(["package", "rows", str(folder)]) == 0
    assert verify(folder) == after
    far = write_package(tmp_path / "far", reach_further=True)
    assert main(["package", "rows", str(far)]) == 2
    assert verify(far).stream is None


def test_rows_that_differ_are_not_added(tmp_path, monkeypatch, capsys):
    folder = write_package(tmp_path / "package")
    monkeypatch.setattr("satsqueeze.export.rows.same_mask", lambda *_, **__: False)
    assert main(["package", "rows", str(folder)]) == 2
    assert "another mask" in capsys.readouterr().err
    assert verify(folder).stream is None


@pytest.mark.parametrize(
    "wrong",
    [{"delay": -1}, {"least_rows": 7}, {"least_rows": 10**6}, {"last": "gone.onnx"}, {"carries": [{"rows": 0}]}],
)
def test_rows_that_cannot_be_are_refused(streamed, tmp_path, wrong):
    record = json.loads((streamed / "flight.json").read_text())
    if "carries" in wrong:
        record["stream"]["carries"][0] |= wrong["carries"][0]
    else:
        record["stream"] |= wrong
    (tmp_path / "flight.json").write_text(json.dumps(record))
    with pytest.raises(PackageError, match="not a valid manifest"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("kind", ["Max", "Min"])
def test_the_larger_of_two_numbers_of_a_pixel_is_pointwise(streamed, tmp_path, kind):
    graph = onnx.load(streamed / "int8.onnx")
    (decision,) = (node for node in graph.graph.node if node.op_type == "ArgMax")
    position, source = list(graph.graph.node).index(decision), decision.input[0]
    graph.graph.node.insert(position, onnx.helper.make_node(kind, [source, source], ["of_both"]))
    decision.input[0] = "of_both"
    onnx.save(graph, tmp_path / "int8.onnx")
    stream = write_stream(tmp_path / "int8.onnx", tmp_path, multiple=MULTIPLE)
    engine = OnnxEngine(tmp_path / "int8.onnx", threads=1)
    run = partial(engine.run, probabilities=False)
    assert same_mask(engine.rows(tmp_path, stream), run, bands=4, rows=stream.least_rows, width=2 * MULTIPLE)
