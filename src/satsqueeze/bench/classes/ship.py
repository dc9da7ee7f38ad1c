"""The long run of one student in one way of teaching, as a flight package with its test scores.

No test image decides anything: int8 is calibrated on training images and judged on validation images, and the test
images are scored after both graphs stand.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from satsqueeze.bench.classes.cell import HELD, Cell
from satsqueeze.bench.classes.evaluate import tallied
from satsqueeze.bench.classes.grid import SHIPPED, ClassGrid
from satsqueeze.bench.classes.held import HeldAnswers
from satsqueeze.bench.classes.image_pass import ClassPass
from satsqueeze.bench.classes.recipe import StudentNetwork, Way
from satsqueeze.bench.classes.row import GridRow, metrics_of
from satsqueeze.bench.machine import this_machine
from satsqueeze.bench.row_file import write_rows
from satsqueeze.bench.throughput import Throughput, measure_throughput
from satsqueeze.core.class_metrics import ClassMetrics
from satsqueeze.core.errors import SettingsError
from satsqueeze.core.files import read_json
from satsqueeze.core.manifest import FlightManifest, Graph, Quality
from satsqueeze.core.package import MANIFEST, SEAL, assembling, seal, verify
from satsqueeze.data.dataset import open_dataset
from satsqueeze.export.settings import ClassExportSettings
from satsqueeze.export.stac import model_item, write_item
from satsqueeze.export.stage import ITEM, export_package
from satsqueeze.flight.classifier import FlightClassifier
from satsqueeze.flight.engines.by_name import open_engine
from satsqueeze.flight.verify import verify_package
from satsqueeze.learn.training import METRICS_FILE
from satsqueeze.nets.model import load_model

SHIPPED_METRICS = ("accuracy", "precision_weighted", "recall_weighted")


def ship(grid: ClassGrid, student: str, way: str, folder: Path) -> FlightManifest:
    """Train the long run of a student (seed 0) and write it as a flight package; resumable at training.

    Args:
        grid: the comparison that it belongs to.
        student: name of the student.
        way: name of the way of teaching.
        folder: of the package, whose name it bears; an older package there is replaced.

    Raises:
        SettingsError: an unknown name; the message names the closest.
        ParityError: the package does not pass its gate; nothing is written.
        RunError: the long run was made with other settings.
    """
    network, chosen = grid.recipe.student(student), grid.recipe.way(way)
    cell = long_cell(grid, network, chosen)
    grid.train(cell)
    draft = cell.place / "package" / folder.name
    manifest = _export(grid, cell, draft)
    scores = {graph: _scores(grid, draft, manifest, graph) for graph in manifest.graphs}
    sealed = _sealed(grid, network, draft, folder, manifest, scores)
    rows = [_row(grid, cell, folder, sealed, graph, found) for graph, found in scores.items()]
    _record(grid, student, way, rows)
    return sealed


def rescore(grid: ClassGrid, student: str, way: str, folder: Path, rows: Sequence[GridRow]) -> tuple[GridRow, ...]:
    """Score a package that was shipped before once more on the recipe's test images; nothing is trained.

    Args:
        grid: of the recipe that it was shipped by.
        student: name of the student.
        way: name of the way of teaching.
        folder: of the package; its manifest gets the scores.
        rows: what was recorded of its graphs; all but the scores stays.

    Returns:
        The rows of its graphs, with the scores.

    Raises:
        SettingsError: an unknown name, or no rows of a graph.
        PackageError: the package cannot be trusted.
    """
    network, manifest = grid.recipe.student(student), verify(folder)
    known = {row.graph: row for row in rows if (row.kind, row.name, row.way) == ("shipped", student, way)}
    scores = {graph: _scores(grid, folder, manifest, graph) for graph in manifest.graphs}
    lacking = [_named(graph) for graph in scores if _named(graph) not in known]
    if lacking:
        raise SettingsError(
            f"the rows hold no shipped {student} taught as {way!r} with {', '.join(lacking)}; give the file in which "
            "it was recorded as --rows"
        )
    _sealed(grid, network, folder, folder, manifest, scores)
    renewed = [known[_named(graph)].model_copy(update={"test": metrics_of(found)}) for graph, found in scores.items()]
    _record(grid, student, way, renewed)
    return tuple(renewed)


def _record(grid: ClassGrid, student: str, way: str, rows: Sequence[GridRow]) -> None:
    """Put rows into the run folder, in place of older ones of the same student and way."""
    others = [row for row in GridRow.read(grid.run / SHIPPED) if (row.name, row.way) != (student, way)]
    write_rows(grid.run / SHIPPED, [*others, *rows])


def _sealed(  # noqa: PLR0917 - what is sealed, where and with which scores
    grid: ClassGrid,
    network: StudentNetwork,
    draft: Path,
    folder: Path,
    manifest: FlightManifest,
    scores: Mapping[Graph, ClassMetrics],
) -> FlightManifest:
    """The package of a draft, with its scores."""
    protocol = _protocol(grid)
    quality = tuple(
        Quality(metric=name, value=value, protocol=protocol, graph=graph.file)
        for graph, found in scores.items()
        for name in SHIPPED_METRICS
        if (value := found.to_dict()[name]) is not None
    )
    with assembling(folder) as part:
        shutil.copytree(draft, part, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST, SEAL))
        scored = manifest.model_copy(update={"quality": quality, "files": {}})
        write_item(part / ITEM, model_item(scored, architecture=network.model))
        sealed = seal(part, scored)
        verify_package(part, threads=grid.recipe.export.threads)
    return sealed


def long_cell(grid: ClassGrid, student: StudentNetwork, way: Way) -> Cell:
    """The training whose weights are shipped."""
    place = grid.run / "long" / student.name / way.name / "seed_0"
    return Cell(
        network=student, way=way, seed=0, place=place, fit=student.long or student.fit, side=grid.recipe.long_on
    )


def _export(grid: ClassGrid, cell: Cell, draft: Path) -> FlightManifest:
    """A package that knows no test score yet."""
    cache, split, network = grid.prepared.cache, grid.prepared.split, cell.network
    thresholds = grid.truth.thresholds(HeldAnswers.read(cell.place / HELD))
    taught = f", taught by {', '.join(cell.way.teachers)} ({cell.way.name})" if cell.way.teachers else ""
    sees = f"{len(cache.classes)} classes of whole images from {', '.join(cache.bands)}"
    return export_package(
        load_model(cell.place),
        cache,
        split.train,
        split.validation,
        _with_thresholds(grid, thresholds),
        draft,
        name=draft.name,
        description=f"{sees}; {network.model}{taught}",
        training={
            "way": cell.way,
            "teachers": [grid.recipe.teacher(name) for name in cell.way.teachers],
            "settings": read_json(cell.place / METRICS_FILE)["settings"],
            "images": len(grid.learnt_from(cell.side)),
            "learnt_from": cell.side,
        },
    )


def _with_thresholds(grid: ClassGrid, thresholds: tuple[float, ...]) -> ClassExportSettings:
    return replace(grid.recipe.export, thresholds=thresholds) if thresholds else grid.recipe.export


def _scores(grid: ClassGrid, package: Path, manifest: FlightManifest, graph: Graph) -> ClassMetrics:
    """Of a graph on the test images, read as in flight: the packed cache rounds reflectance, which moves scores."""
    engine = open_engine(graph.engine, package / graph.file, threads=grid.recipe.export.threads)
    flown = FlightClassifier(manifest, graph=graph, engine=engine)
    dataset = open_dataset(grid.recipe.images.data, card=grid.recipe.images.card)
    return tallied(flown, ClassPass(flown, dataset, ids=set(grid.prepared.split.test))).metrics


def _row(  # noqa: PLR0917 - what is known of one graph
    grid: ClassGrid, cell: Cell, folder: Path, manifest: FlightManifest, graph: Graph, found: ClassMetrics
) -> GridRow:
    network, figures, record = cell.network, grid.cost(cell.network), cell.record
    engine = open_engine(graph.engine, folder / graph.file, threads=1)
    timed: Throughput = measure_throughput(
        engine, channels=len(manifest.bands), height=figures.height, width=figures.width, threads=1
    )
    return GridRow(
        name=network.name,
        kind="shipped",
        way=cell.way.name,
        teachers=cell.way.teachers,
        model=network.model,
        precision=graph.precision,
        graph=_named(graph),
        test=metrics_of(found),
        # Scores on images that the weights learnt from would compare with nothing.
        validation=record["validation"] if cell.side == "train" else {},
        seeds=(cell.seed,),
        images=found.images,
        parameters=figures.parameters,
        macs=figures.macs,
        size=figures.height,
        epochs=record["epochs"],
        train_minutes=record["seconds"] / 60,
        train_images_per_second=record["images_per_second"],
        bytes=manifest.files[graph.file].bytes,
        inference=timed,
        machine=this_machine(),
    )


def _named(graph: Graph) -> str:
    return f"{graph.file} on {graph.engine}"


def _protocol(grid: ClassGrid) -> str:
    split, settings = grid.prepared.split, grid.recipe.images
    height, width = grid.prepared.cache.stack.shape[2:]
    parted = (
        f"{settings.split} split, seed {settings.seed}" if settings.split == "seeded" else f"split {settings.split}"
    )
    tuned = " and thresholds chosen" if grid.prepared.cache.task == "multi-label" else ""
    seen = f"{tuned}, which the weights also learnt from" if grid.recipe.long_on != "train" else tuned
    learnt = len(grid.learnt_from(grid.recipe.long_on))
    return (
        f"{len(split.test)} test images ({parted}), scored once, on which nothing was trained, chosen or calibrated; "
        f"weights of the last epoch on {learnt} images; int8 calibrated on training images and judged on "
        f"{len(split.validation)} validation images{seen}; whole images of {height} x {width} px, no test-time "
        "augmentation"
    )
