"""Data that has grown, is read otherwise, or lies elsewhere, since a run packed it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from satsqueeze.core.errors import RunError, SatsqueezeError
from satsqueeze.core.run import RunFolder
from satsqueeze.data.cache.pack import grown, pack, rewritten
from satsqueeze.data.cache.packed import MANIFEST, PackedCache
from satsqueeze.data.dataset import open_dataset


def known_place(
    run: RunFolder, stage: str, data: str, *, card: str | None, bands: Sequence[str], cache: Path | str
) -> str:
    """Where a run says that its data lie, if ``data`` holds the very same files; else ``data``.

    Args:
        run: that may have finished ``stage``.
        stage: its data stage.
        data: folder, zip file or YAML list of sources.
        card: name of the dataset card, where the folder has no dataset.yaml.
        bands: common names in channel order; empty: all.
        cache: folder of what it packed.
    """
    if not run.has(stage) or not (Path(cache) / MANIFEST).is_file():
        return data
    settings: Any = run.settings(stage)  # or these with the lists of a split
    place = str((settings[0] if isinstance(settings, list) else settings)["data"])
    if place == data:
        return data
    try:
        pack(open_dataset(data, card=card), cache, bands=bands or None, overwrite=False)
    except SatsqueezeError:
        return data
    return place


def other_data(run: RunFolder, stage: str) -> str:
    """Why a run folder is refused whose data stage finished with other settings than asked for."""
    return (
        f"{run.path} was made from other data or another split than asked for now (its settings stand in "
        f"stages/{stage}.json); choose a new --out folder"
    )


def require_whole(cache: PackedCache, data: str, *, card: str | None, run: RunFolder) -> None:
    """Refuse to go on without what was added to the data since it was packed, or by cards that were corrected since.

    Args:
        cache: what was packed.
        data: folder, zip file or YAML list of sources.
        card: name of the dataset card, where the folder has no dataset.yaml.
        run: that was made of it.

    Raises:
        RunError: there is something new, or a card says something else.
    """
    try:
        dataset = open_dataset(data, card=card)
    except SatsqueezeError:
        return  # what was packed is enough, wherever the files are now
    changed = rewritten(cache, dataset)
    if changed:
        raise RunError(
            f"{data} says something else now about {', '.join(changed[:5])} than when {run.path} was made of it; "
            "choose a new --out folder to go by that, or put it back"
        )
    found = grown(cache, dataset)
    if found:
        raise RunError(
            f"{data} holds {found}, of which {run.path} knows nothing, since it was made before; choose a new --out "
            "folder to use them, or move them out of the data"
        )
