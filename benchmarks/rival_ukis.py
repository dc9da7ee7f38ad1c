"""ukis-csmask on images, in its own environment; see rival_images.py for what goes in and out.

    python -m venv .venv-ukis && .venv-ukis/bin/pip install 'ukis-csmask[cpu]==1.0.0'
    .venv-ukis/bin/python benchmarks/rival_ukis.py IMAGE.npy... [--bands ...] [--threads 2] [--masks FOLDER]

It takes its network of six bands where the bands hold swir16 and swir22, else that of four.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rival_images import command_line, time_masks

CLOUD = 1


def main() -> None:
    options = command_line(__doc__ or "").parse_args()

    def cloud(image: NDArray[np.float32], bands: list[str]) -> NDArray[np.bool_]:
        from ukis_csmask.mask import CSmask

        threads = {"intra_op_num_threads": options.threads, "providers": ["CPUExecutionProvider"]}
        found = CSmask(img=image, band_order=bands, product_level="l1c", nodata_value=0, **threads)
        return np.asarray(found.csm[..., 0] == CLOUD)

    time_masks(options, "ukis-csmask", cloud)


if __name__ == "__main__":
    main()
