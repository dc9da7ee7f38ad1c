"""Draw the contact sheet of generated scenes for the documentation: a row per biome, true colour and labels.

Usage: python scripts/contact_sheet.py [OUTPUT.png]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from satsqueeze.core.bands import band_positions
from satsqueeze.core.files import replacing
from satsqueeze.data.synth import BIOMES, SceneSettings, SynthScene, generate_scene

TARGET = Path(__file__).resolve().parents[1] / "docs" / "images" / "synth_contact_sheet.png"
SIZE, GAP, HEADER = 224, 4, 16
CLOUD_FRACTIONS = (0.0, 0.15, 0.35, 0.6)
LABEL_COLOURS = ((60, 90, 60), (255, 255, 255), (170, 200, 235), (25, 25, 60))
NODATA_COLOUR = (0, 0, 0)
STRETCH, GAMMA = 0.8, 0.55


def true_colour(scene: SynthScene) -> NDArray[np.uint8]:
    rgb = scene.reflectance[band_positions(scene.bands, ("red", "green", "blue"))]
    stretched: NDArray[np.uint8] = (np.clip(rgb / STRETCH, 0, 1) ** GAMMA * 255).astype(np.uint8)
    return stretched.transpose(1, 2, 0)


def label_colours(scene: SynthScene) -> NDArray[np.uint8]:
    palette = np.array([*LABEL_COLOURS, NODATA_COLOUR], dtype=np.uint8)
    return palette[np.where(scene.valid, scene.labels, len(LABEL_COLOURS))]


def tiles(biome: str, row: int) -> list[tuple[str, NDArray[np.uint8]]]:
    """True-colour images with rising cloud cover, then the labels of the last but one."""
    shown: list[tuple[str, NDArray[np.uint8]]] = []
    for column, fraction in enumerate(CLOUD_FRACTIONS):
        scene = generate_scene(
            SceneSettings(
                seed=100 * row + column,
                height=SIZE,
                width=SIZE,
                biome=biome,  # type: ignore[arg-type]
                cloud_fraction=fraction,
                gsd=30.0 if column == 1 else 10.0,
            )
        )
        shown.append((f"{biome}, {scene.gsd:.0f} m", true_colour(scene)))
        if column >= 2:
            shown.append(("labels", label_colours(scene)))
    return shown


def main() -> None:
    rows = [tiles(biome, row) for row, biome in enumerate(BIOMES)]
    width = len(rows[0]) * (SIZE + GAP) + GAP
    sheet = Image.new("RGB", (width, len(rows) * (SIZE + HEADER + GAP) + GAP), (245, 245, 245))
    draw = ImageDraw.Draw(sheet)
    for row, columns in enumerate(rows):
        for column, (title, pixels) in enumerate(columns):
            left, top = GAP + column * (SIZE + GAP), GAP + row * (SIZE + HEADER + GAP)
            draw.text((left + 2, top + 2), title, fill=(30, 30, 30))
            sheet.paste(Image.fromarray(pixels), (left, top + HEADER))
    with replacing(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET) as temporary:
        sheet.quantize(256, dither=Image.Dither.NONE).save(temporary, optimize=True)


if __name__ == "__main__":
    main()
