"""``satsqueeze export``: students as proven flight packages."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from satsqueeze.cli.network_run import described, export_network, has_network
from satsqueeze.cli.scores import TEST, protocol, score_graph
from satsqueeze.cli.stage import PACKAGES, console, open_run, require, run_stage
from satsqueeze.cli.zoo.run import export_run, is_class_run
from satsqueeze.core.errors import ExportError, RunError, SettingsError
from satsqueeze.core.files import read_json
from satsqueeze.core.manifest import Quality
from satsqueeze.core.package import MANIFEST
from satsqueeze.core.run import RunFolder
from satsqueeze.data.stage import Prepared, load_prepared
from satsqueeze.distill.ladder import Rung
from satsqueeze.distill.stage import LADDER, read_ladder
from satsqueeze.export.draft import FP32
from satsqueeze.export.settings import ClassExportSettings, ExportSettings
from satsqueeze.export.stage import export_package
from satsqueeze.nets.model import load_model

ACCURACY_LOSS = ClassExportSettings.accuracy_loss


def command(
    run: Path,
    export: ExportSettings = ExportSettings(),  # noqa: B008 - frozen, and shown as the default
    accuracy_loss: float = ACCURACY_LOSS,
    native_grids: bool = False,
) -> int:
    """Export, quantise and prove the students of a run, its classifier or its one network, as flight packages.

    The chosen student must pass the parity gate; another one that does not is left out, with the reason.

    Args:
        run: run folder with a ladder of students, with a classifier, or with what 'train --out' has made.
        export: settings of the export.
        accuracy_loss: what int8 may lose of a classifier's accuracy on validation images.
        native_grids: write a classifier's graph once more for bands in pixels of their own size, as sensors deliver
            them; the coarser are resampled inside.
    """
    opened = open_run(run)
    if is_class_run(opened):
        print(export_run(opened, export, accuracy_loss=accuracy_loss, native_grids=native_grids))
        return 0
    told = {"--native_grids": native_grids, "--accuracy_loss": accuracy_loss != ACCURACY_LOSS}
    useless = [name for name, stated in told.items() if stated]
    if useless:
        raise SettingsError(
            f"{', '.join(useless)} would change nothing, since {run} holds no classifier; leave it out (what int8 may "
            "lose of a mask is --export.jaccard_loss), or name the run of a 'zoo train'"
        )
    print(export_network(opened, export) if has_network(opened) else export_stage(opened, export))
    return 0


def export_stage(run: RunFolder, settings: ExportSettings) -> Path:
    """Export every rung, the chosen one first; returns the folder of the chosen one's package.

    Raises:
        ExportError: the chosen student cannot be exported.
        ParityError: its graphs differ from it by more than is allowed.
    """
    require(run, "distill")
    prepared = load_prepared(run)
    rungs, chosen = read_ladder(run / LADDER)

    def work() -> dict[str, Any]:
        left_out = {}
        for rung in sorted(rungs, key=lambda rung: rung.name != chosen):
            try:
                _export_rung(run, rung, prepared, settings)
            except ExportError as error:
                if rung.name == chosen:
                    raise
                left_out[rung.name] = str(error)
                print(f"no package of student {rung.name}: {error}", file=sys.stderr)
        _tell_stale(run, {rung.name for rung in rungs} - left_out.keys())
        return {"package": f"{PACKAGES}/{chosen}", "left_out": left_out}

    key = {**prepared.key, "ladder": read_json(run / LADDER), "export": settings}
    outputs = [_manifest(rung) for rung in _exported(run)] if run.has("export") else []
    run_stage(run, "export", key, work, outputs=outputs)
    return run / f"{PACKAGES}/{chosen}"


def packaged(run: RunFolder) -> list[Rung]:
    """The students that have packages by the last export.

    Raises:
        RunError: there was none, or a package is gone.
    """
    rungs = _exported(run)
    lost = run.lost(map(_manifest, rungs))
    if lost:
        raise RunError(f"{run / lost[0]} is gone; export it again with 'satsqueeze export {run.path}'")
    return rungs


def _exported(run: RunFolder) -> list[Rung]:
    left_out = require(run, "export")["left_out"]
    return [rung for rung in read_ladder(run / LADDER)[0] if rung.name not in left_out]


def _manifest(rung: Rung) -> str:
    """Of its package, by its name in the run folder."""
    return f"{PACKAGES}/{rung.name}/{MANIFEST}"


def _tell_stale(run: RunFolder, made: Collection[str]) -> None:
    """Name packages that an earlier export left: they may be flown, so they stay."""
    for manifest in sorted((run / PACKAGES).glob(f"[!.]*/{MANIFEST}")):
        if manifest.parent.name not in made:
            print(
                f"{manifest.parent} is a package of an earlier export, which is measured no more; remove it unless it "
                "is used",
                file=sys.stderr,
            )


def _export_rung(run: RunFolder, rung: Rung, prepared: Prepared, settings: ExportSettings) -> None:
    """Export one rung, unless a killed run had come that far."""
    key = {**prepared.key, "rung": rung, "export": settings}
    if run.is_done(f"export/{rung.name}", key, (_manifest(rung),)):
        return
    console.print(f"exporting student {rung.name}", style="dim")
    model, split = load_model(run / rung.folder), prepared.folds[0]
    found = score_graph(model, settings, prepared)
    manifest = export_package(
        model,
        prepared.cache,
        split.train,
        split.validation,
        settings,
        run / f"{PACKAGES}/{rung.name}",
        name=rung.name,
        description=described(model.card),
        quality=[Quality(metric="jaccard", value=float(found["jaccard"]), protocol=protocol(prepared), graph=FP32)]
        if found["jaccard"] is not None
        else [],
        training={"rung": rung.to_dict(), "split": TEST, "data": prepared.fingerprint.to_dict()},
    )
    run.finish(f"export/{rung.name}", key, {"graphs": [graph.file for graph in manifest.graphs]}, seconds=0.0)
