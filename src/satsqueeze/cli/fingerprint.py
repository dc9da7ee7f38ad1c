"""``satsqueeze fingerprint``: pack a data set, split it by scene and take its fingerprint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from satsqueeze.cli.progress import progress
from satsqueeze.cli.stage import DEFAULT_RUN, console, tell_packed
from satsqueeze.core.run import RunFolder
from satsqueeze.data.stage import OUTPUTS, STAGE, Prepared, PrepareSettings, prepare


def fingerprint(
    data: str,
    *,
    out: Path = DEFAULT_RUN,
    card: str | None = None,
    bands: list[str] | None = None,
    folds: int = 3,
    seed: int = 0,
) -> int:
    """Pack a data set, split it by scene and take its fingerprint; files that had to be left out are named.

    Args:
        data: folder, zip file or YAML list of sources.
        out: run folder; created if absent.
        card: name of the dataset card, where the folder has no dataset.yaml.
        bands: common names of the bands to use, in channel order; by default all that the sources share.
        folds: folds of the teacher ensemble, by scene.
        seed: of the splits.
    """
    settings = PrepareSettings(data=data, card=card, bands=tuple(bands or ()), folds=folds, seed=seed)
    prepared = prepare_stage(settings, RunFolder(out))
    found = prepared.fingerprint
    print(
        f"{out}/fingerprint.json: {found.cases} images of {found.groups} groups to train on, {len(prepared.test)} kept"
    )
    print(f"for the test; bands {', '.join(found.bands)}; classes {', '.join(found.classes)}")
    return 0


def prepare_stage(settings: PrepareSettings, run: RunFolder) -> Prepared:
    """Pack, split and take the fingerprint; files that had to be left out are named."""
    # The same data must be recognised from another working directory.
    settings = replace(settings, data=str(Path(settings.data).expanduser().resolve()))
    done = run.is_done(STAGE, settings, OUTPUTS)
    with progress("reading images") as advance:
        prepared = prepare(settings, run, on_progress=advance)
    what = "done before" if done else f"{run.seconds(STAGE):6.1f} s"
    console.print(f"[bold]{STAGE:<8}[/] {what}", style="dim" if done else "")
    tell_packed(prepared.cache)
    return prepared
