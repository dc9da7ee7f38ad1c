"""A share of the labelled images, drawn so that no class is left empty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import SettingsError, SplitError
from satsqueeze.data.cache.packed import PackedCache

_DRAWS = 1000


def with_labels(cache: PackedCache, ids: Sequence[str]) -> tuple[str, ...]:
    """Those of some images that hold a labelled pixel."""
    return tuple(name for name in ids if any(cache.entries[cache.position(name)].class_pixels))


def share_of_labels(cache: PackedCache, ids: Sequence[str], *, share: float, seed: int) -> tuple[str, ...]:
    """Some of the images, at least one, that together hold a labelled pixel of every class that all of them hold.

    The first of 1000 seeded draws that leaves no class empty is taken, so that what is drawn depends on the seed and
    the share alone.

    Args:
        cache: images with labels of pixels.
        ids: images to choose from; those without a label are passed over.
        share: of the labelled images.
        seed: of the draw.

    Raises:
        SettingsError: a share outside (0, 1].
        SplitError: no labelled image, or every draw leaves a class empty.
    """
    if not 0 < share <= 1:
        raise SettingsError(f"the share of labels must lie in (0, 1], got {share}")
    labelled = with_labels(cache, ids)
    if not labelled:
        raise SplitError(f"none of the {len(ids)} images has a labelled pixel; choose images with labels")
    if share == 1:
        return labelled
    pixels = np.array([cache.entries[cache.position(name)].class_pixels for name in labelled])
    wanted: NDArray[np.bool_] = pixels.astype(bool).max(axis=0)
    count = max(round(share * len(labelled)), 1)
    generator = np.random.Generator(np.random.Philox(key=[seed, count]))
    missing = np.zeros(len(wanted))
    for _ in range(_DRAWS):
        chosen = np.sort(generator.permutation(len(labelled))[:count])
        lacking = wanted & ~pixels[chosen].any(axis=0)
        if not lacking.any():
            return tuple(labelled[index] for index in chosen)
        missing += lacking
    rarest = int(missing.argmax())
    raise SplitError(
        f"{share:g} of {len(labelled)} labelled images are {count}, which leaves a class empty in all of {_DRAWS} "
        f"draws, mostly {cache.classes[rarest]} (in {np.count_nonzero(pixels[:, rarest])} images); ask for a larger "
        "share, or add images of it"
    )
