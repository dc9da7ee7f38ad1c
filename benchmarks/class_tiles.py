"""Images for the benchmarks of classification: some of EuroSAT's, or generated ones that are named alike."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from satsqueeze.core.errors import DataError
from satsqueeze.data.cache.band_statistics import scaling_of
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.cards.catalogue import load_card
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.synth.noise import Spectrum, power_noise
from satsqueeze.nets.card import ModelCard, Task
from satsqueeze.nets.classifier import FAMILY, ClassifierConfig

CARD, SIDE = "eurosat-rgb", 64
_TEXTURE = Spectrum(exponent=1.7, outer=32.0)
_QUALITY = 90


def write_tiles(folder: Path, data: Path | None, count: int) -> None:
    """Write JPEGs as ``folder/CLASS/CLASS_NUMBER.jpg``.

    Args:
        folder: created if absent.
        data: EuroSAT as a zip file or an unpacked folder; None generates tiles.
        count: how many, spread over the classes; 0 = all there are.
    """
    if data is None:
        write_generated(folder, count or 1000)
        return
    found = _zipped(data) if data.is_file() else {str(path): path for path in sorted(data.rglob("*.jpg"))}
    if not found:
        raise DataError(f"{data} holds no JPEG; expected EuroSAT_RGB.zip or the folder that it unpacks to")
    names = sorted(found)
    chosen = (
        names if not count else [names[i] for i in np.linspace(0, len(names) - 1, min(count, len(names))).astype(int)]
    )
    archive = zipfile.ZipFile(data) if data.is_file() else None
    for name in chosen:
        place = folder / Path(name).parent.name / Path(name).name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(archive.read(name) if archive else Path(name).read_bytes())


def write_generated(folder: Path, count: int) -> None:
    """Write textures whose colour tells the class, of about the size in bytes of EuroSAT's."""
    generator, classes = np.random.default_rng(0), load_card(CARD).classes
    for number in range(count):
        name = classes[number % len(classes)]
        colour = 60 + 12 * ((number % len(classes)) * np.array([1, 3, 7]) % len(classes))
        texture = power_noise(generator, SIDE, SIDE, _TEXTURE)
        values = colour + 15 * texture[..., None] + generator.normal(0, 3, (SIDE, SIDE, 3))
        content = io.BytesIO()
        Image.fromarray(values.clip(1, 255).astype(np.uint8)).save(content, "JPEG", quality=_QUALITY)
        place = folder / name / f"{name}_{number + 1}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.getvalue())


def packed(tiles: Path, folder: Path) -> PackedCache:
    """The images as training reads them."""
    return pack(open_dataset(tiles, card=CARD), folder)


def card_of(cache: PackedCache, model: str) -> ModelCard:
    """The card of a network of the zoo for these images."""
    config = ClassifierConfig(model=model, in_channels=len(cache.bands), classes=len(cache.classes), size=SIDE)
    return ModelCard(
        name=model,
        family=FAMILY,
        config=config,
        scaling=scaling_of(cache, cache.ids),
        bands=cache.bands,
        classes=cache.classes,
        foreground=(),
        task=cast("Task", cache.task),
    )


def _zipped(path: Path) -> dict[str, Path]:
    with zipfile.ZipFile(path) as archive:
        return {name: Path(name) for name in archive.namelist() if name.endswith(".jpg")}
