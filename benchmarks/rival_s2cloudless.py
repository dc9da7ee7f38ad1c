"""s2cloudless on images, in its own environment; see rival_images.py for what goes in and out.

    python -m venv .venv-s2cloudless && .venv-s2cloudless/bin/pip install s2cloudless==1.7.3
    .venv-s2cloudless/bin/python benchmarks/rival_s2cloudless.py IMAGE.npy... [--bands ...] [--masks FOLDER]

Its trees want ten Sentinel-2 bands. ``--stand-ins`` gives them blue, green, red and nir again in place of those that
are absent: they take the same time on any numbers, but such a mask says nothing. Probabilities are averaged and the
mask is dilated as in the example of s2cloudless; ``--plain`` takes the trees' word for every pixel instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rival_images import command_line, time_masks

# B01, B02, B04, B05, B08, B8A, B09, B10, B11, B12, and what stands in for them where time alone counts.
BANDS = ("coastal", "blue", "red", "rededge071", "nir", "nir08", "nir09", "cirrus", "swir16", "swir22")
STAND_INS = ("blue", "blue", "red", "red", "nir", "nir", "nir", "green", "green", "green")
THRESHOLD = 0.4


def main() -> None:
    parser = command_line(__doc__ or "")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--stand-ins", action="store_true")
    options = parser.parse_args()
    wanted = STAND_INS if options.stand_ins else BANDS
    absent = [band for band in wanted if band not in options.bands.split(",")]
    if absent:
        parser.error(f"s2cloudless needs {', '.join(wanted)}; the images have no {', '.join(absent)}")
    average, dilation = (None, None) if options.plain else (4, 2)

    def cloud(image: NDArray[np.float32], bands: list[str]) -> NDArray[np.bool_]:
        from s2cloudless import S2PixelCloudDetector

        detector = S2PixelCloudDetector(threshold=THRESHOLD, average_over=average, dilation_size=dilation)
        taken = np.ascontiguousarray(image[None][..., [bands.index(band) for band in wanted]])
        return np.asarray(detector.get_cloud_masks(taken)[0] == 1)

    time_masks(options, "s2cloudless", cloud)


if __name__ == "__main__":
    main()
