"""Data that has grown, or is read otherwise, since a run packed it."""

from __future__ import annotations

from satsqueeze.core.errors import RunError, SatsqueezeError
from satsqueeze.core.run import RunFolder
from satsqueeze.data.cache.pack import grown, rewritten
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.dataset import open_dataset


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
