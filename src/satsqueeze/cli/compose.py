"""``satsqueeze compose``: training images out of clear ground and procedural clouds."""

from __future__ import annotations

from pathlib import Path

from satsqueeze.cli.progress import progress
from satsqueeze.data.compose import ComposeSettings
from satsqueeze.data.compose import compose as write
from satsqueeze.data.dataset import open_dataset


def compose(
    grounds: str,
    out: Path = Path("runs/composed"),
    card: str | None = None,
    settings: ComposeSettings = ComposeSettings(),  # noqa: B008 - frozen, and shown as the default
) -> int:
    """Write composites of clear ground and procedural clouds, and generated scenes, with exact labels.

    Args:
        grounds: folder, zip file or YAML list of clear images with blue, green, red and nir.
        out: folder for images/, labels/, landcover/ and dataset.yaml.
        card: name of the dataset card, where the folder has no dataset.yaml.
        settings: how many, and of what kind.
    """
    with progress("composing") as advance:
        count = write(open_dataset(grounds, card=card), settings, out, advance)
    print(f"{count} images in {out}")
    return 0
