"""From the paths of a command line to scenes that can be flown: where the data's readers meet the flight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from satsqueeze.core.errors import RadiometryError, SettingsError
from satsqueeze.data.scene.evidence import evidence_files
from satsqueeze.data.scene.grid import GridRule
from satsqueeze.data.scene.product import find_scenes
from satsqueeze.data.scene.product_date import acquired_in
from satsqueeze.data.scene.reader import SceneReader, open_scene
from satsqueeze.data.scene.source import SceneSource
from satsqueeze.flight.batch import SceneJob
from satsqueeze.flight.ledger import Ledger
from satsqueeze.flight.runtime import FlightModel
from satsqueeze.flight.scene_run import SceneOrigin, SceneOutputs


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the user says that files are to be read."""

    bands: tuple[str, ...] = ()
    radiometry: str = "auto"
    gsd_m: float | None = None
    nodata: float | None = None


def jobs_of(paths: Sequence[Path], reading: Reading, model: FlightModel, *, out: Path) -> list[SceneJob]:
    """A job for every scene behind some paths, the unusable ones included.

    Args:
        paths: where to look.
        reading: how to read.
        model: whose bands are wanted.
        out: folder of the outputs, which holds no scenes.

    Raises:
        SettingsError: the outputs would lie among the scenes.
        RunError: the ledger of an earlier run cannot be read.
    """
    if any(path.resolve() == out.resolve() for path in paths):
        raise SettingsError(f"--out {out} is a folder of scenes; masks would take their names, so choose another")
    sources = find_scenes(paths, gsd_m=_gsd_m(reading, model), without=out, owners=Ledger(out).sources)
    return [_job(source, reading, model) for source in sources]


def require_apart(jobs: Mapping[SceneJob, SceneOutputs]) -> None:
    """Refuse to write over what is read, over one another, or over something else than a file.

    Raises:
        SettingsError: an output is a file of a scene, another output or a folder, or a preview is no PNG.
    """
    read = {path.resolve() for job in jobs for path in (*job.files, job.origin.source)}
    written: set[Path] = set()
    for kind, path in (named for outputs in jobs.values() for named in outputs.all.items()):
        if path.resolve() in read and not path.is_dir():
            raise SettingsError(f"{path} is a file of a scene itself; choose another name for what is written")
        if path.resolve() in written:
            raise SettingsError(
                f"{path} is named for two outputs; give the {kind} a name of its own, or rename one of the scenes"
            )
        if path.is_dir():
            raise SettingsError(f"{path} is a folder, expected the name of a file for the {kind}; choose another name")
        if kind == "preview" and path.suffix.lower() != ".png":
            raise SettingsError(f"a preview is a PNG, but --preview is {path}; expected a name that ends in .png")
        written.add(path.resolve())


def one_job(paths: Sequence[Path], reading: Reading, model: FlightModel) -> SceneJob:
    """The job of the one scene behind some paths; several files are its bands.

    Raises:
        SettingsError: there are several scenes, or files of several dates.
    """
    if all(path.is_file() and path.suffix.lower() != ".json" for path in paths):
        files = tuple(str(path.absolute()) for path in paths)
        dates = {found for path in paths if (found := acquired_in(path.name)) is not None}
        if len(dates) > 1:
            raise SettingsError(
                f"the files are of {len(dates)} dates by their names, {min(dates):%Y-%m-%d} to {max(dates):%Y-%m-%d}, "
                "but --out names one file; list the bands of one scene, or name a folder for the masks"
            )
        return _job(SceneSource(id=paths[0].stem, path=paths[0].absolute(), files=files), reading, model)
    sources = find_scenes(paths, gsd_m=_gsd_m(reading, model))
    if not sources:
        raise SettingsError(
            f"there is no scene in {', '.join(map(str, paths))}; expected rasters, products or STAC items"
        )
    if len(sources) != 1:
        names = ", ".join(source.id for source in sources[:5])
        raise SettingsError(
            f"--out names one file but there are {len(sources)} scenes ({names}); name a folder for their masks"
        )
    return _job(sources[0], reading, model)


def _gsd_m(reading: Reading, model: FlightModel) -> float:
    return min(band.gsd_m for band in model.manifest.bands) if reading.gsd_m is None else reading.gsd_m


def _missing(source: SceneSource, reading: Reading, model: FlightModel) -> tuple[float, ...]:
    """Numbers of missing pixels: the product's and the user's; where bands state several, the user's alone counts."""
    told = () if reading.nodata is None else (reading.nodata,)
    try:
        stated = source.nodata(model.bands)
    except RadiometryError:
        if not told:
            raise
        return told
    return told if stated is None else (stated, *told)


def _job(source: SceneSource, reading: Reading, model: FlightModel) -> SceneJob:
    rule = GridRule(gsd_m=_gsd_m(reading, model), exact=reading.gsd_m is not None)
    reading = replace(reading, bands=reading.bands or source.channels)

    def opened() -> SceneReader:
        if source.problem is not None:
            raise source.problem
        told = reading.radiometry != "auto"
        return open_scene(
            source.files,
            bands=reading.bands,
            radiometry=reading.radiometry if told else source.radiometry(model.bands),
            want=model.bands,
            file_bands=source.file_bands,
            grid=rule,
            nodata=_missing(source, reading, model),
        )

    return SceneJob(
        origin=SceneOrigin(id=source.id, source=source.path, acquired=source.acquired),
        open=opened,
        files=tuple(Path(file) for file in source.files),
        evidence=tuple(dict.fromkeys(beside for file in source.files for beside in evidence_files(file))),
        settings=repr((reading, source.stated, source.file_bands)),
    )
