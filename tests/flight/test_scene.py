"""Whole scenes: the same mask for every strip, tile, thread and extent, and that of the array in one piece."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satsqueeze.core.buffer import Buffer
from satsqueeze.core.errors import BudgetError, DataError, GridError, RadiometryError
from satsqueeze.core.window import Window
from satsqueeze.data.scene.grid import GridRule
from satsqueeze.data.scene.reader import open_scene
from satsqueeze.flight.engines.engine import has_openvino
from satsqueeze.flight.opening import open_package
from satsqueeze.flight.passages.fly import fly
from satsqueeze.flight.passages.sample import Sample
from satsqueeze.flight.passages.scene_flight import SceneFlight
from satsqueeze.flight.plans.memory import GraphMemory, ample_ram, resident_bytes
from satsqueeze.flight.plans.planner import plan_scene
from satsqueeze.flight.plans.scene_plan import BlendPlan, ScenePlan

from .scene_files import BANDS, numbers, write, write_scene

MEMORY = GraphMemory(base_bytes=0, bytes_per_pixel=100.0, measured=True)


class Kept:
    """A sink that keeps everything."""

    def __init__(self):
        self.results = []

    def take(self, result):
        self.results.append(result)

    @property
    def mask(self):
        return self._laid([result.mask[None] for result in self.results])[0]

    @property
    def probabilities(self):
        return self._laid([result.probabilities for result in self.results])

    def _laid(self, parts):
        windows = [result.window for result in self.results]
        shape = max(w.stop_row for w in windows), max(w.stop_col for w in windows)
        assert sum(w.height * w.width for w in windows) == shape[0] * shape[1]
        laid = np.full((parts[0].shape[0], *shape), 99, parts[0].dtype)
        for window, part in zip(windows, parts, strict=True):
            laid[:, *window.slices] = part
        return laid


def flown(
    model, path, *, strip=None, tile=None, panel=None, max_ram=2**40, probabilities=False, undecided=False, buffer=None,
    **reading,
):  # fmt: skip
    with open_scene(path, want=model.bands, grid=GridRule(gsd_m=10), **reading) as reader:
        parts = {"strip": strip, "tile_width": tile, "panel_width": panel}
        memory = replace(MEMORY, streams=model.engine.streams)
        plan = plan_scene(reader, model.manifest, memory, max_ram=max_ram, buffer=buffer, **parts)
        sink = Kept()
        flight = SceneFlight(
            reader=reader, engine=model.engine, plan=plan, classes=len(model.classes), sink=sink,
            probabilities=probabilities, count_undecided=undecided, buffer=buffer,
        )  # fmt: skip
        tally = fly(flight)
    return sink, tally, plan


def whole(model, path, **reading):
    raster = open_scene(path, **reading).read().select(model.bands)
    return model.predict(raster.values, raster.bands, probabilities=True, valid=raster.valid)


@pytest.fixture(scope="module")
def int8(package):
    return open_package(package, precision="int8", threads=1)


@pytest.fixture(scope="module")
def fp32(package):
    return open_package(package, precision="fp32", threads=1)


@pytest.fixture(scope="module")
def scene_file(tmp_path_factory):
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.tif", 211, 173)


@pytest.mark.parametrize("panel", [None, 64, 100])
@pytest.mark.parametrize(("strip", "tile"), [(8, 32), (16, 60), (40, 44), (64, 1000), (100, 72), (211, 173), (500, 36)])
def test_the_int8_mask_is_the_same_for_every_plan(int8, scene_file, strip, tile, panel):
    sink, tally, plan = flown(int8, scene_file, strip=strip, tile=tile, panel=panel)
    assert isinstance(plan, ScenePlan)
    want = whole(int8, scene_file).mask
    assert set(np.unique(want)) > {0, 255}
    np.testing.assert_array_equal(sink.mask, want)
    np.testing.assert_array_equal(tally.counts, np.bincount(want.ravel(), minlength=256))


@pytest.mark.parametrize("radius", [0.5, 2.5, 9.0])
@pytest.mark.parametrize(("strip", "tile", "panel"), [(8, 32, None), (40, 44, 64), (100, 72, 100), (500, 1000, None)])
def test_a_buffer_is_the_same_for_every_plan(int8, scene_file, strip, tile, panel, radius):
    buffer = Buffer(radius=radius, foreground=(1, 2))
    sink, _, plan = flown(int8, scene_file, strip=strip, tile=tile, panel=panel, buffer=buffer)
    assert plan.halo >= int8.manifest.receptive_field + buffer.reach
    np.testing.assert_array_equal(sink.mask, buffer.widen(whole(int8, scene_file).mask))


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 60), width=st.integers(1, 60), strip=st.integers(1, 70), tile=st.integers(1, 70),
    panel=st.integers(1, 70),
)  # fmt: skip
def test_odd_sizes_and_odd_plans(tmp_path_factory, height, width, strip, tile, panel):
    from .conftest import write_package

    root = tmp_path_factory.getbasetemp()
    if not (root / "odd").exists():
        write_package(root / "odd", vectors=False)
    model = open_package(root / "odd", precision="int8", threads=1)
    values = numbers(height, width, seed=height)
    values[:, -1, -1] = 5000
    path = write(root / "odd.tif", values, names=BANDS, nodata=0, block=16)
    sink, _, _ = flown(model, path, strip=strip, tile=tile, panel=panel, radiometry="scale:0.0001")
    np.testing.assert_array_equal(sink.mask, whole(model, path, radiometry="scale:0.0001").mask)


@pytest.mark.parametrize(("threads", "streams"), [(1, 1), (2, 1), (2, 2), (3, 2), (3, 3)])
@pytest.mark.parametrize(
    "engine", ["onnx", pytest.param("openvino", marks=pytest.mark.skipif(not has_openvino(), reason="not installed"))]
)
def test_threads_and_streams_do_not_show(package, scene_file, engine, threads, streams):
    one = open_package(package, precision="int8", engine=engine, threads=1)
    more = open_package(package, precision="int8", engine=engine, threads=threads, streams=streams)
    want = flown(one, scene_file)[0].mask
    sink, _, plan = flown(more, scene_file, strip=48, tile=80)
    assert plan.streams == streams
    np.testing.assert_array_equal(sink.mask, want)
    more.engine.fit((1, 4, *plan.input_size), probabilities=False)
    np.testing.assert_array_equal(flown(more, scene_file, strip=48, tile=80)[0].mask, want)


def test_the_extent_of_the_scene_does_not_show_away_from_its_border(int8, tmp_path):
    values = numbers(200, 180)
    path = write(tmp_path / "whole.tif", values, names=BANDS)
    cut = write(tmp_path / "cut.tif", values[:, 24:184, 16:150], names=BANDS)
    want = flown(int8, path, radiometry="scale:0.0001", strip=40, tile=60)[0].mask
    found = flown(int8, cut, radiometry="scale:0.0001", strip=56, tile=52)[0].mask
    np.testing.assert_array_equal(found[12:-12, 12:-12], want[36:172, 28:138])


def test_a_float_graph_differs_in_counted_pixels_only(fp32, scene_file):
    want = whole(fp32, scene_file)
    sink, tally, _ = flown(fp32, scene_file, strip=24, tile=48, probabilities=True, undecided=True)
    differ = sink.mask != want.mask
    best = np.sort(want.probabilities, axis=0)
    narrow = (best[-1] - best[-2] < 1e-4) & (want.mask != 255)
    assert not (differ & ~narrow).any()
    assert abs(tally.undecided - int(narrow.sum())) <= 2
    np.testing.assert_allclose(sink.probabilities, want.probabilities, atol=1e-5)


def test_narrow_decisions_are_counted(package, scene_file):
    class Torn:
        name, streams, keeps_scratch = "onnx", 1, False

        def fit(self, shape, *, probabilities):
            pass

        def run(self, batch, *, probabilities):
            from satsqueeze.flight.engines.graph_output import GraphOutput

            n, _, height, width = batch.shape
            chances = np.full((n, 4, height, width), 0.25, np.float32)
            return GraphOutput(mask=np.zeros((n, height, width), np.uint8), probabilities=chances)

    model = open_package(package, precision="fp32", threads=1)
    model.engine = Torn()
    _, tally, _ = flown(model, scene_file, undecided=True)
    assert tally.undecided == tally.counts[:255].sum() > 0


def test_nan_and_inf_are_missing(int8, tmp_path):
    values = numbers(90, 70).astype(np.float32) * np.float32(1e-4)
    values[0, 10:14, 5:9] = np.nan
    values[3, 40, 30] = np.inf
    path = write(tmp_path / "nan.tif", values, names=BANDS, nodata=None)
    sink, _, _ = flown(int8, path, strip=16, tile=48)
    assert (sink.mask[10:14, 5:9] == 255).all()
    assert sink.mask[40, 30] == 255
    np.testing.assert_array_equal(sink.mask, whole(int8, path).mask)


@pytest.mark.parametrize("block", [None, 16, 64])
def test_blocks_of_the_file_do_not_show(int8, tmp_path, block):
    path = write_scene(tmp_path / "a.tif", 130, 111, block=block)
    sink, _, _ = flown(int8, path, strip=40)
    np.testing.assert_array_equal(sink.mask, whole(int8, path).mask)


def test_a_package_that_looks_at_the_whole_is_blended_as_the_array_is(global_package, tmp_path):
    path = write_scene(tmp_path / "wide.tif", 150, 170)
    model = open_package(global_package, precision="int8", threads=1, window=64)
    with open_scene(path, want=model.bands) as reader:
        plan = plan_scene(reader, model.manifest, MEMORY)
        assert isinstance(plan, BlendPlan)
        sink = Kept()
        flight = SceneFlight(
            reader=reader, engine=model.engine, plan=replace(plan, side=64), classes=4, sink=sink, probabilities=True
        )
        fly(flight)
    want = whole(model, path)
    np.testing.assert_array_equal(sink.mask, want.mask)
    np.testing.assert_array_equal(sink.probabilities, want.probabilities)


def test_windows_shrink_to_fit_and_say_when_they_cannot(global_package, tmp_path):
    model = open_package(global_package, threads=1)
    with open_scene(write_scene(tmp_path / "a.tif", 90, 2000), want=model.bands) as reader:
        plans = [plan_scene(reader, model.manifest, MEMORY, max_ram=ram * 2**20) for ram in (60, 1024)]
        assert plans[0].side < plans[1].side
        assert plans[0].expected_bytes <= 60 * 2**20
        with pytest.raises(BudgetError, match="--max-ram"):
            plan_scene(reader, model.manifest, MEMORY, max_ram=2**20)


@pytest.mark.parametrize(("streams", "waiting"), [(1, 1.0), (2, 4 / 3), (3, 1.0), (4, 4 / 3)])
def test_streams_without_a_tile_wait(streams, waiting):
    plan = ScenePlan(
        height=100, width=300, multiple=4, cache_bytes=0, expected_bytes=0, streams=streams, strip=50, tile_width=108,
        panel_width=300, halo=4,
    )  # fmt: skip
    assert len(list(plan.tiles(next(plan.strips())))) == 3
    assert plan.waiting == pytest.approx(waiting)


class Shape:
    """A reader of no image, as far as plans are concerned."""

    def __init__(self, height, width, block=512):
        self.height, self.width, self.dtype, self.block_height, self.block_width = height, width, "uint16", block, block
        self.block_row_bytes = block * width * 8


@pytest.mark.parametrize("size", [(1, 1), (700, 300), (5000, 3000), (10980, 10980)])
@pytest.mark.parametrize("ram", [96, 200, 400, 2000])
def test_plans_cover_once_and_keep_to_their_memory(make_manifest, package, size, ram):
    manifest = open_package(package).manifest
    plan = plan_scene(Shape(*size), manifest, MEMORY, max_ram=ram * 2**20)
    assert plan.expected_bytes <= ram * 2**20
    seen = np.zeros(((size[0] - 1) // 4 + 1, (size[1] - 1) // 4 + 1), np.int8)
    tiles, work = set(), 0
    for strip in plan.strips():
        if strip.read.row == 0:
            read = 0
        assert strip.read.row == read
        assert strip.read.col <= max(0, strip.core.col - plan.halo)
        assert strip.read.width <= plan.buffer_cols
        read = strip.read.stop_row
        assert read - strip.seen.row <= plan.buffer_rows
        for tile in plan.tiles(strip):
            core, window = tile.core, tile.read
            tiles.add((window.height, window.width))
            work += window.height * window.width
            assert core.row == strip.core.row
            assert window.height % 4 == window.width % 4 == core.row % 4 == core.col % 4 == 0
            assert window.row >= strip.seen.row
            assert window.col >= strip.read.col
            assert min(window.stop_row, size[0]) <= read
            assert min(window.stop_col, size[1]) <= strip.read.stop_col
            assert window.row <= max(0, core.row - plan.halo)
            assert window.col <= max(0, core.col - plan.halo)
            assert window.stop_row >= min(plan.rows, core.stop_row + plan.halo)
            assert window.stop_col >= min(plan.cols, core.stop_col + plan.halo)
            seen[core.row // 4 : -(-core.stop_row // 4), core.col // 4 : -(-core.stop_col // 4)] += 1
    assert read == size[0]
    assert (seen == 1).all()
    assert tiles == {(plan.tile_height, plan.tile_width)}, "one shape, so that an engine allocates once"
    assert work == pytest.approx(plan.overhead * plan.rows * plan.cols)


@pytest.mark.parametrize("ram", [256, 384])
def test_a_scene_a_hundred_times_larger_needs_little_more_memory(package, ram):
    """With what the shipped package costs in onnxruntime."""
    manifest = open_package(package).manifest.model_copy(update={"receptive_field": 51, "size_multiple": 8})
    memory = GraphMemory(base_bytes=123 * 2**20, bytes_per_pixel=333.0, measured=True)
    small, large = (plan_scene(Shape(side, side), manifest, memory, max_ram=ram * 2**20) for side in (1000, 10980))
    assert large.expected_bytes <= 1.1 * small.expected_bytes


def test_wide_scenes_are_cut_into_panels_of_whole_blocks(package):
    manifest = open_package(package).manifest
    plan = plan_scene(Shape(10980, 10980, 256), manifest, MEMORY, max_ram=2**30, panel_width=3072)
    assert [panel.last for panel in plan.panels] == [3072, 6144, 9216, 10980]
    assert [panel.stop for panel in plan.panels] == [3060, 6132, 9204, 10980]
    assert [panel.first for panel in plan.panels] == [0, 3048, 6120, 9192]
    whole = plan_scene(Shape(10980, 10980, 256), manifest, MEMORY, max_ram=2**30, panel_width=10980)
    assert whole.panels[0].last == whole.panels[0].stop == 10980
    assert plan.expected_bytes < whole.expected_bytes


def test_more_memory_repeats_less_work(package):
    manifest = open_package(package).manifest
    costs = [plan_scene(Shape(10980, 10980), manifest, MEMORY, max_ram=ram * 2**20).overhead for ram in (150, 300, 900)]
    assert costs[0] >= costs[1] >= costs[2] >= 1


def test_too_little_memory_and_impossible_sizes_are_refused(package):
    manifest = open_package(package).manifest
    with pytest.raises(BudgetError, match=r"needs \d+ MB at least.*--max-ram"):
        plan_scene(Shape(10980, 10980), manifest, MEMORY, max_ram=2**20)
    with pytest.raises(BudgetError, match="header is damaged"):
        plan_scene(Shape(2**20, 2**20), manifest, MEMORY)


def test_an_image_without_a_valid_pixel_is_refused(int8, tmp_path):
    path = write(tmp_path / "empty.tif", np.zeros((4, 40, 30), np.uint16), names=BANDS)
    with pytest.raises(DataError, match="no pixel of the 40 x 30 px is valid"):
        flown(int8, path, radiometry="scale:0.0001")


def test_numbers_that_cannot_be_reflectance_are_refused(int8, tmp_path):
    path = write(tmp_path / "dn.tif", numbers(40, 30), names=BANDS)
    with pytest.raises(RadiometryError, match="cannot be reflectance"):
        flown(int8, path, radiometry="scale:0.01")
    as_float = write(tmp_path / "float.tif", numbers(40, 30) * np.float32(1e-4), names=BANDS)
    with pytest.raises(RadiometryError, match="reflectance already"):
        flown(int8, as_float, radiometry="scale:0.0001")


@pytest.mark.parametrize("strips", [[90], [1] * 90, [7, 50, 3, 30]])
def test_a_sample_does_not_depend_on_strips(strips):
    digital = np.arange(2 * 90 * 40, dtype=np.uint16).reshape(2, 90, 40)
    sample, row = Sample(height=90, width=40, side=30), 0
    for height in strips:
        rows = slice(row, row + height)
        sample.look(Window(row=row, col=0, height=height, width=40), digital[:, rows], np.ones((height, 40), bool))
        row += height
    np.testing.assert_array_equal(sample.collected()[0], digital[:, ::3, ::3])


def test_a_sample_does_not_depend_on_panels():
    digital = np.arange(2 * 90 * 40, dtype=np.uint16).reshape(2, 90, 40)
    whole = digital[0] % 7 > 0
    sample = Sample(height=90, width=40, side=30)
    with pytest.raises(GridError, match="before any of it was read"):
        sample.collected()
    for left, right in ((0, 17), (11, 40)):
        for top, bottom in ((0, 50), (50, 90)):
            window = Window(row=top, col=left, height=bottom - top, width=right - left)
            sample.look(window, digital[:, *window.slices], whole[window.slices])
    np.testing.assert_array_equal(sample.collected()[0], digital[:, ::3, ::3])
    np.testing.assert_array_equal(sample.collected()[1], whole[::3, ::3])


@pytest.mark.parametrize("finer", [False, True])
def test_bands_of_other_sizes_do_not_show_strips(int8, tmp_path, finer):
    values = numbers(120, 96)
    files = [write(tmp_path / f"{band}.tif", v[None], nodata=0) for band, v in zip(BANDS[:3], values, strict=False)]
    files.append(write(tmp_path / "nir.tif", values[3, ::2, ::2][None], gsd=20.0))
    rule = GridRule(gsd_m=15.0 if finer else 10.0, exact=True)
    with open_scene(files, radiometry="scale:0.0001", want=int8.bands, grid=rule) as reader:
        masks = []
        for strip, tile in ((8, 32), (120, 96), (36, 60)):
            sink = Kept()
            plan = plan_scene(reader, int8.manifest, MEMORY, strip=strip, tile_width=tile)
            fly(SceneFlight(reader=reader, engine=int8.engine, plan=plan, classes=4, sink=sink))
            masks.append(sink.mask)
    assert masks[0].shape == ((80, 64) if finer else (120, 96))
    assert len(np.unique(masks[0])) > 2
    for mask in masks[1:]:
        np.testing.assert_array_equal(mask, masks[0])


def test_ample_memory_is_whole_and_leaves_room():
    ample = ample_ram()
    assert ample % 2**30 == 0
    assert 2**29 <= ample - resident_bytes() <= 2**30 + 2**29 + 2**26
