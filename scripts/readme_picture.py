"""Draw the README's picture from a finished run: test scenes with label, teacher and student.

Usage: satsqueeze demo --out runs/demo && python scripts/readme_picture.py [RUN] [OUTPUT.png]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from satsqueeze.bench.drawing.pictures import Panel
from satsqueeze.bench.row import BenchRow
from satsqueeze.cli.panels import worst_and_best
from satsqueeze.core.files import replacing
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.run import RunFolder
from satsqueeze.data.stage import load_prepared
from satsqueeze.distill.stage import read_ladder
from satsqueeze.flight.outputs.palette import NODATA_COLOUR, class_colours

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "images" / "demo.png"
SIDE, GAP, HEAD, MARGIN, LEGEND = 236, 10, 46, 92, 40
INK, MUTED, PAPER = (28, 32, 38), (110, 116, 124), (255, 255, 255)


def coloured(mask: NDArray[np.uint8], classes: Sequence[str]) -> NDArray[np.uint8]:
    table = np.zeros((256, 3), np.uint8)
    table[: len(classes)] = class_colours(classes)
    table[IGNORE] = NODATA_COLOUR
    return table[mask]


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def heads(run: RunFolder, chosen: str) -> list[tuple[str, str]]:
    """Title and subtitle of each column."""
    rows = {row.key: row for row in BenchRow.read(run / "bench.jsonl")}
    teacher, student = rows["teacher", "fp32"], rows[chosen, "fp32"]
    return [
        ("generated scene", "reflectance, red-green-blue"),
        ("label", "exact"),
        ("teacher", f"{teacher.parameters:,} parameters, Jaccard {teacher.jaccard:.3f}"),
        (f"student {chosen}", f"{student.parameters:,} parameters, Jaccard {student.jaccard:.3f}"),
    ]


def draw(panels: Sequence[Panel], titles: Sequence[tuple[str, str]], classes: Sequence[str]) -> Image.Image:
    width = MARGIN + len(titles) * (SIDE + GAP)
    height = HEAD + len(panels) * (SIDE + GAP) + LEGEND
    sheet = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, (title, subtitle) in enumerate(titles):
        left = MARGIN + column * (SIDE + GAP)
        pen.text((left, 6), title, fill=INK, font=font(16))
        pen.text((left, 26), subtitle, fill=MUTED, font=font(11))
    for row, panel in enumerate(panels):
        top = HEAD + row * (SIDE + GAP)
        pen.text((6, top + 4), panel.case, fill=INK, font=font(14))
        pen.text(
            (6, top + 24), f"Jaccard\n{panel.score:.3f}" if panel.score is not None else "", fill=MUTED, font=font(11)
        )
        teacher = panel.label if panel.teacher is None else panel.teacher
        pictures = [panel.image, *(coloured(mask, classes) for mask in (panel.label, teacher, panel.student))]
        for column, picture in enumerate(pictures):
            scaled = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.NEAREST)
            left = MARGIN + column * (SIDE + GAP)
            sheet.paste(scaled, (left, top))
            # Thick cloud is white, like the sheet.
            pen.rectangle((left, top, left + SIDE - 1, top + SIDE - 1), outline=MUTED)
    left = MARGIN
    for name, colour in [*zip(classes, class_colours(classes), strict=True), ("no data", NODATA_COLOUR)]:
        pen.rectangle((left, height - 28, left + 14, height - 14), fill=colour, outline=MUTED)
        pen.text((left + 20, height - 29), name, fill=INK, font=font(12))
        left += 130
    return sheet


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "runs" / "demo"
    run, target = RunFolder(folder), Path(sys.argv[2]) if len(sys.argv) > 2 else TARGET
    prepared = load_prepared(run)
    chosen = read_ladder(run / "ladder.json")[1]
    panels = worst_and_best(run, prepared, chosen, each=1)
    sheet = draw(panels, heads(run, chosen), prepared.cache.classes)
    with replacing(target) as temporary:
        sheet.quantize(256, dither=Image.Dither.NONE).save(temporary, optimize=True)


if __name__ == "__main__":
    main()
