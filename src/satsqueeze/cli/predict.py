"""``satsqueeze predict``: mask scenes with a flight package."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Literal

from satsqueeze import __version__
from satsqueeze.cli.progress import scene_progress
from satsqueeze.cli.scene_jobs import Reading, jobs_of, one_job, require_apart
from satsqueeze.core.errors import PackageError, SettingsError
from satsqueeze.flight.batch import BatchFolder, SceneOutcome, fly_batch, fly_job
from satsqueeze.flight.ledger import LEDGER, SceneRow
from satsqueeze.flight.opening import open_package
from satsqueeze.flight.plans.memory import ample_ram
from satsqueeze.flight.runtime import FlightModel
from satsqueeze.flight.scene_run import SceneOutputs, ScenePilot

SHIPPED = "cloud-s2l8-4band"
"""Package that is used where none is named."""
STREAMS = 2
"""Tiles at once where there are threads for them: one keeps the processor busy where the other waits."""
_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".jp2", ".gif", ".bmp", ".webp"})
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


def predict(
    images: list[Path],
    *,
    out: Path = Path("mask.tif"),
    package: Path | None = None,
    max_ram: str | None = None,
    threads: int = 2,
    engine: Literal["auto", "onnx", "openvino"] = "auto",
    precision: Literal["auto", "fp32", "int8"] = "auto",
    bands: list[str] | None = None,
    radiometry: str = "auto",
    nodata: float | None = None,
    gsd: float | None = None,
    buffer: float | None = None,
    probabilities: bool = False,
    preview: Path | None = None,
    json: bool = False,
) -> int:
    """Mask scenes in bounded memory. Exit status: 0 all done, 1 some scenes were put aside, 2 nothing could be done.

    Args:
        images: scenes: GeoTIFFs, one file per band, Sentinel-2 SAFE folders, folders of Landsat bands, STAC items with
            local assets, or folders of these. With a file as --out, one scene; several files are then its bands.
        out: GeoTIFF to write for one scene, or a folder for any number: per scene a mask (uint8 class values, 255
            where there is no data), a STAC item, and a row in manifest.jsonl. Run again, it does only what is missing.
        package: folder of a flight package; by default the cloud package that ships with satsqueeze.
        max_ram: memory of the whole process, such as 256M or 1G; sizes of strips and tiles follow from it. By default
            1G, or more where the process holds much already.
        threads: processor threads of the network.
        engine: onnx, openvino, or auto for that of the package's default graph.
        precision: int8, fp32, or auto for that of the package's default graph.
        bands: common names of the image's bands in file order, where the files do not say.
        radiometry: what the numbers are, where the files do not say: reflectance, sentinel2-n0400, sentinel2-old,
            landsat-l1:<sun elevation in degrees>, landsat-l2, or scale:<reflectance per number>[:<offset>].
        nodata: number of missing pixels, such as 0 or -9999, beside those that the files tag or mask.
        gsd: side of a pixel in metres that every scene is resampled to; by default only scenes much finer or
            coarser than the package's pixels, to one and to three times these.
        buffer: metres by which foreground is widened, where the size of pixels is known; by default the package's.
        probabilities: also write the probability of each class.
        preview: also write a PNG with true colour, mask and legend; with a folder as --out, any name: one per scene.
        json: print JSON.
    """
    folder = package or shipped_package()
    reading = Reading(bands=tuple(bands or ()), radiometry=radiometry, gsd_m=gsd, nodata=nodata)
    limit = None if max_ram is None else parse_size(max_ram)
    model = open_package(
        folder, engine=engine, precision=precision, threads=threads, streams=min(threads, STREAMS), buffer_m=buffer
    )
    pilot = ScenePilot(model, folder, max_ram=limit or ample_ram(), probabilities=probabilities, version=__version__)
    if out.suffix.lower() in _PICTURES and not out.is_dir():
        raise SettingsError(f"masks are GeoTIFFs, but --out is {out}; name a .tif, or a folder (--preview draws a PNG)")
    if out.suffix.lower() in (".tif", ".tiff") and not out.is_dir():
        return _one(pilot, images, reading, out, probabilities=probabilities, preview=preview, json=json)
    target = BatchFolder(path=out, probabilities=probabilities, previews=preview is not None)
    return _many(pilot, images, reading, target, json=json)


def _one(
    pilot: ScenePilot,
    images: list[Path],
    reading: Reading,
    out: Path,
    *,
    probabilities: bool,
    preview: Path | None,
    json: bool,
) -> int:
    job = one_job(images, reading, pilot.model)
    chances = out.with_name(f"{out.stem}_probabilities{out.suffix}") if probabilities else None
    outputs = SceneOutputs(mask=out, probabilities=chances, preview=preview)
    require_apart({job: outputs})
    with scene_progress() as advance:
        row = fly_job(pilot, job, outputs, advance=lambda done, total: advance(job.origin.id, done, total))
    if json:
        print(dumps({"mask": str(out), **_told(row)}, indent=2))
        return 0
    print(f"{out}: {_shares(row)}")
    print(f"radiometry: {row.radiometry}; model: {_named(pilot.model)}")
    print(_pace(row))
    return 0


def _many(pilot: ScenePilot, images: list[Path], reading: Reading, folder: BatchFolder, *, json: bool) -> int:
    jobs = jobs_of(images, reading, pilot.model, out=folder.path)
    if not jobs:
        raise SettingsError(f"no scene in {', '.join(map(str, images))}; expected rasters, products or STAC items")
    require_apart({job: folder.outputs(job.origin.id) for job in jobs})
    outcomes: list[SceneOutcome] = []
    with scene_progress(len(jobs)) as advance:
        for outcome in fly_batch(pilot, jobs, folder, advance=advance):
            outcomes.append(outcome)
            if not json and outcome.row is not None:
                print(_line(outcome.row), flush=True)
    rows = [outcome.row for outcome in outcomes if outcome.row is not None]
    aside = [row for row in rows if row.status == "quarantined"]
    summary = {
        "folder": str(folder.path),
        "done": len(rows) - len(aside),
        "done_before": len(outcomes) - len(rows),
        "quarantined": len(aside),
    }
    if json:
        print(dumps({**summary, "scenes": [_told(row) for row in rows]}, indent=2))
    else:
        print(
            f"{summary['done']} done, {summary['done_before']} done before, {len(aside)} quarantined; "
            f"{folder.path / LEDGER} tells of each. model: {_named(pilot.model)}"
        )
    nothing = len(aside) == len(outcomes)
    return 0 if not aside else 2 if nothing else 1


def _told(row: SceneRow) -> dict[str, object]:
    return {
        "scene": row.scene,
        "status": row.status,
        **({"reason": row.reason} if row.reason else {}),
        "radiometry": row.radiometry,
        "buffer_px": row.buffer_px,
        "shares": dict(row.shares),
        "undecided": row.undecided,
        "seconds": dict(row.seconds),
        "wall_s": row.wall_s,
        "mpixel_per_s": row.mpixel_per_s,
        "peak_memory_bytes": row.peak_memory_bytes,
        "plan": dict(row.plan),
    }


def _line(row: SceneRow) -> str:
    if row.status == "quarantined":
        return f"{row.scene}: quarantined: {row.reason}"
    return f"{row.scene}: {_shares(row)}; {_pace(row)}"


def _pace(row: SceneRow) -> str:
    notes = [f"{row.mpixel_per_s:.2f} Mpixel/s", f"peak memory {row.peak_memory_bytes / 2**20:.0f} MB"]
    if row.plan.get("blended"):
        notes.append("blended from windows of {side} px, which show in the mask".format(**row.plan))
    if row.undecided:
        notes.append(f"{row.undecided} pixels decided by less than rounding may change")
    return ", ".join(notes)


def _shares(row: SceneRow) -> str:
    return ", ".join(f"{name} {share:.1%}" for name, share in row.shares.items())


def _named(model: FlightModel) -> str:
    return f"{model.manifest.name} ({model.graph.precision})"


def parse_size(text: str) -> int:
    """Bytes of ``256M``, ``1G`` or ``300000000``; K, M and G are powers of 1024.

    Raises:
        SettingsError: anything else.
    """
    word = text.strip().upper().removesuffix("IB").removesuffix("B")
    unit = word[-1:] if word[-1:] in _UNITS else ""
    number = word.removesuffix(unit)
    try:
        found = float(number) * _UNITS[unit]
    except ValueError:
        found = 0.0
    if not 0 < found < 2**60:
        raise SettingsError(f"memory must be a size such as 256M or 1G, got {text!r}")
    return int(found)


def shipped_package() -> Path:
    """Folder of the cloud package that ships with satsqueeze.

    Raises:
        PackageError: it is not there, as in an installation without the zoo.
    """
    source = Path(__file__).resolve().parents[3] / "zoo" / SHIPPED
    installed = Path(sys.prefix) / "share" / "satsqueeze" / "zoo" / SHIPPED
    for folder in (source, installed):
        if folder.is_dir():
            return folder
    raise PackageError(f"no package given and '{SHIPPED}' is neither at {installed} nor at {source}; give --package")
