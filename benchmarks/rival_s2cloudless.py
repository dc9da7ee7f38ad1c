"""s2cloudless on one image, in its own environment.

    .venv-s2cloudless/bin/python benchmarks/rival_s2cloudless.py IMAGE.npy [THREADS]

Make the environment with: python -m venv .venv-s2cloudless && .venv-s2cloudless/bin/pip install s2cloudless
IMAGE.npy: float32 (H, W, 4) top-of-atmosphere reflectance of blue, green, red, nir; s2cloudless wants ten bands, so the
others repeat these: its trees take the same time on any numbers, and its mask is not compared. Prints JSON with seconds
from the array to the mask and peak memory. Reading the scene is not counted.
"""

import json
import os
import resource
import sys
import time

os.environ["OMP_NUM_THREADS"] = sys.argv[2] if len(sys.argv) > 2 else "2"

import numpy as np
from s2cloudless import S2PixelCloudDetector

# B01, B02, B04, B05, B08, B8A, B09, B10, B11, B12
TAKEN = (0, 0, 2, 2, 3, 3, 3, 1, 1, 1)
image = np.load(sys.argv[1])[None][..., TAKEN]
started = time.perf_counter()
mask = S2PixelCloudDetector(threshold=0.4, average_over=4, dilation_size=2).get_cloud_masks(image)
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": seconds, "peak_memory_bytes": peak, "pixels": int(mask.size)}))
