"""ukis-csmask on one image, in its own environment.

    .venv-ukis/bin/python benchmarks/rival_ukis.py IMAGE.npy [THREADS]

IMAGE.npy: float32 (H, W, 4) top-of-atmosphere reflectance of blue, green, red, nir. Prints JSON with seconds from the
array to the mask, model loading included, and peak memory. Reading the scene is not counted.
"""

import json
import resource
import sys
import time

import numpy as np
from ukis_csmask.mask import CSmask

image = np.load(sys.argv[1])
threads = int(sys.argv[2]) if len(sys.argv) > 2 else 2
started = time.perf_counter()
found = CSmask(
    img=image, band_order=["blue", "green", "red", "nir"], product_level="l1c", nodata_value=0,
    intra_op_num_threads=threads, providers=["CPUExecutionProvider"],
)  # fmt: skip
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
share = float((found.csm == 1).mean())
print(json.dumps({"seconds": seconds, "peak_memory_bytes": peak, "pixels": int(found.csm.size), "cloud_share": share}))
