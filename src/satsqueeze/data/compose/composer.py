"""Makes a training set of composites and generated scenes, written like any other data set."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from satsqueeze.core.errors import DataError, SettingsError
from satsqueeze.core.files import write_text
from satsqueeze.data.compose.clouds import Labelled, overcast, paste, procedural_cloud
from satsqueeze.data.compose.surfaces import bright_objects, recolour, snowy_mountains, wooded_snow
from satsqueeze.data.dataset import Dataset
from satsqueeze.data.items.item import Item
from satsqueeze.data.items.reader import read_image, read_label
from satsqueeze.data.made_folder import claim, content_of
from satsqueeze.data.synth import DatasetSettings, SceneSettings, SynthScene, card_dict, generate_scene, write_scene
from satsqueeze.data.synth.biomes import Biome

BANDS = ("blue", "green", "red", "nir")
GROUPS = "grounds.csv"
"""The ground that each composite is made of."""
_MISTAKEN = (0.40, 0.55, 0.67)
"""Shares of composites, summed up, that are recoloured, snowy mountains and ground with bright objects."""
_PLAIN = 1 - _MISTAKEN[-1]
_RULES = 2  # another number where other images are drawn for the same settings
_BIOMES: tuple[Biome, ...] = (
    "farmland", "forest", "urban", "coast", "wetland", "desert", "snow", "mountain", "savanna",
)  # fmt: skip
_BIOME_SHARES = (0.08, 0.08, 0.08, 0.10, 0.08, 0.20, 0.20, 0.10, 0.08)


@dataclass(frozen=True, kw_only=True)
class ComposeSettings:
    """How many images, and of what kind."""

    composites: int = 1000
    """Images of real ground under procedural cloud."""
    scenes: int = 600
    """Wholly generated scenes, every third without a cloud."""
    size: int = 192
    """Height and width in pixels."""
    clear_share: float = 0.4
    """Share of composites without a cloud, so that a bright surface does not predict one."""
    wooded_share: float = 0.1
    """Share of composites that show snow under trees; 0.67 show other ground that is taken for cloud."""
    overcast_share: float = 0.05
    """Share of composites that lie under a closed bluish deck."""
    seed: int = 0
    """Of everything that is drawn; the same seed gives the same result on one machine."""

    def __post_init__(self) -> None:
        if min(self.composites, self.scenes, self.seed) < 0 or self.size < 32 or not 0 <= self.clear_share <= 1:
            raise SettingsError(
                f"composites, scenes and seed must not be negative, size >= 32 and clear_share in [0, 1]; got "
                f"{self.composites}, {self.scenes}, {self.seed}, {self.size}, {self.clear_share}"
            )
        if not self.composites + self.scenes:
            raise SettingsError("nothing is to be made: composites and scenes are 0; set one of them above 0")
        if min(self.wooded_share, self.overcast_share) < 0 or self.wooded_share + self.overcast_share > _PLAIN:
            raise SettingsError(
                f"wooded_share and overcast_share must not be negative, nor their sum above {_PLAIN:.2f}; got "
                f"{self.wooded_share} and {self.overcast_share}"
            )


def compose(
    grounds: Dataset, settings: ComposeSettings, folder: Path, on_progress: Callable[[int, int], None] | None = None
) -> int:
    """Write composites and scenes with their card; images that exist are kept, so a killed run continues.

    Args:
        grounds: images of ground with blue, green, red and nir; those with nodata, or foreground in their masks, are
            left out.
        settings: see there.
        folder: gets images/, labels/, landcover/, grounds.csv and dataset.yaml.
        on_progress: called with (done, total).

    Returns:
        Number of images.

    Raises:
        DataError: composites are asked for, but there is no wholly valid image of clear ground.
    """
    images = [ground for item in grounds.items if (ground := _clear(item)) is not None] if settings.composites else []
    if settings.composites and not images:
        raise DataError("no image of clear ground without nodata or foreground; composites need at least one")
    claim(folder, [_RULES, settings, content_of(grounds.items)])
    total = settings.composites + settings.scenes
    for number in range(total):
        name = f"composite{number:05d}" if number < settings.composites else f"scene{number:05d}"
        if not (folder / "landcover" / f"{name}.tif").exists():
            rng = np.random.Generator(np.random.Philox(key=[settings.seed, number]))
            made = _composite(images, settings, rng) if number < settings.composites else _scene(settings, number, rng)
            write_scene(made, folder, name)
        if on_progress:
            on_progress(number + 1, total)
    _write_groups(images, settings, folder / GROUPS)
    table = {"file": GROUPS, "key": "name", "value": "ground"}
    made_of = {"name": "composed", "group": "{name}", "group_table": table}
    card = {**card_dict(DatasetSettings(seed=settings.seed, bands=BANDS)), **made_of}
    write_text(folder / "dataset.yaml", yaml.safe_dump(card, sort_keys=False))
    return total


@dataclass(frozen=True, kw_only=True)
class _Ground:
    """Clear ground."""

    group: str
    """The scene that it is of."""
    values: NDArray[np.float32]
    """Reflectance (4, H, W)."""


def _clear(item: Item) -> _Ground | None:
    """An image without nodata, and without foreground where it has a mask."""
    raster = read_image(item, BANDS)
    if not raster.valid.all():
        return None
    if item.card.label_kind == "mask" and item.label is not None:
        label = read_label(item, raster.valid.shape)
        if np.isin(label, item.card.foreground).any():
            return None
    return _Ground(group=item.groups[0], values=raster.values)


def _drawn(images: Sequence[_Ground], rng: np.random.Generator) -> _Ground:
    """The ground of a composite: the first thing that is drawn for it."""
    return images[int(rng.integers(len(images)))]


def _write_groups(images: Sequence[_Ground], settings: ComposeSettings, path: Path) -> None:
    """The table of groups: composites of one ground stay on one side of a split."""
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("name", "ground"))
    for number in range(settings.composites):
        rng = np.random.Generator(np.random.Philox(key=[settings.seed, number]))
        rows.writerow((f"composite{number:05d}", _drawn(images, rng).group))
    write_text(path, table.getvalue())


def _composite(images: Sequence[_Ground], settings: ComposeSettings, rng: np.random.Generator) -> SynthScene:
    ground = _crop(_drawn(images, rng).values, settings.size, rng)
    kind = rng.random()
    if kind < _MISTAKEN[0]:
        ground = recolour(ground, rng)
    elif kind < _MISTAKEN[1]:
        ground = snowy_mountains(ground, rng)
    elif kind < _MISTAKEN[2]:
        ground = bright_objects(ground, rng)
    elif kind < _MISTAKEN[2] + settings.wooded_share:
        ground = wooded_snow(ground, rng)
    if kind >= 1 - settings.overcast_share:
        return _as_scene(paste(ground, overcast(settings.size, rng), rng))
    if rng.random() < settings.clear_share:
        return _as_scene(Labelled(image=ground, label=np.zeros(ground.shape[1:], np.uint8)))
    return _as_scene(paste(ground, procedural_cloud(settings.size, rng), rng))


def _scene(settings: ComposeSettings, number: int, rng: np.random.Generator) -> SynthScene:
    return generate_scene(
        SceneSettings(
            seed=int(rng.integers(2**31)),
            height=settings.size,
            width=settings.size,
            gsd=float(rng.choice([10, 20, 30])),
            biome=_BIOMES[rng.choice(len(_BIOMES), p=_BIOME_SHARES)],
            nodata_probability=0.03,
            thin_opacity=0.1,
            cloud_fraction=0.0 if number % 3 == 0 else None,
        )
    )


def _crop(image: NDArray[np.float32], size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A random window, mirrored onwards where the image is smaller, under a random flip or transposition."""
    short = [max(0, size - edge) for edge in image.shape[1:]]
    padded = np.pad(image, ((0, 0), (0, short[0]), (0, short[1])), mode="symmetric")
    row, col = (int(rng.integers(0, edge - size + 1)) for edge in padded.shape[1:])
    window = padded[:, row : row + size, col : col + size]
    window = window[:, :: rng.choice([1, -1]), :: rng.choice([1, -1])]
    return np.ascontiguousarray(window.transpose(0, 2, 1) if rng.random() < 0.5 else window)


def _as_scene(made: Labelled) -> SynthScene:
    return SynthScene(
        reflectance=made.image,
        labels=made.label,
        land_cover=np.full(made.label.shape, 255, np.uint8),
        valid=np.ones(made.label.shape, bool),
        bands=BANDS,
        gsd=10.0,
        sun_zenith_deg=0.0,
        sun_azimuth_deg=0.0,
        biome="farmland",
    )
