"""Draw the picture of docs/predict.md: a generated scene, and the mask that ``satsqueeze predict`` lays over it.

Usage: python scripts/predict_picture.py [OUTPUT.png]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from satsqueeze.cli.main import main as satsqueeze
from satsqueeze.core.files import replacing
from satsqueeze.data.synth import SceneSettings, generate_scene, write_scene

TARGET = Path(__file__).resolve().parents[1] / "docs" / "images" / "predict.png"
SCENE = SceneSettings(
    seed=2**31 + 1009, height=480, width=480, biome="farmland", cloud_kind="mixed", cloud_fraction=0.35,
    nodata_probability=1.0,
)  # fmt: skip
"""Of a seed that no training set draws."""


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scene(generate_scene(SCENE), folder, "scene")
        preview = folder / "preview.png"
        words = [folder / "images" / "scene.tif", "--out", folder / "mask.tif", "--preview", preview]
        status = satsqueeze(["predict", *map(str, words)])
        if status:
            return status
        with Image.open(preview) as picture, replacing(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET) as temporary:
            picture.quantize(256, dither=Image.Dither.NONE).save(temporary, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
