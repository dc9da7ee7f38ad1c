"""What must hold before a network is trained."""

from __future__ import annotations

from satsqueeze.core.errors import SettingsError, SplitError
from satsqueeze.core.window import up
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.splits.split import Split, require_classes
from satsqueeze.nets.model import SegmentationModel


def check_model(model: SegmentationModel, cache: PackedCache, *, patch_size: tuple[int, int]) -> None:
    """Refuse a network that cannot be trained on a cache.

    Raises:
        SettingsError: a patch size (h, w) that the network cannot take, or classes that are not those of the cache.
    """
    multiple = model.size_multiple
    if any(size % multiple for size in patch_size):
        rounded = tuple(up(size, multiple) for size in patch_size)
        raise SettingsError(
            f"the network takes sizes that are multiples of {multiple} px, got a patch of {patch_size}; use {rounded}"
        )
    if tuple(model.card.classes) != tuple(cache.classes):
        raise SettingsError(
            f"the network has the classes {', '.join(model.card.classes)}, the cache {', '.join(cache.classes)}; "
            "build the network for the classes of the cache"
        )


def check_split(cache: PackedCache, split: Split, *, labelled: bool = True) -> None:
    """Refuse a split that nothing can be learnt from, or scored on.

    Args:
        cache: images and labels.
        split: images of both sides; validation may be empty.
        labelled: whether training needs labels, which it does not where a teacher gives its targets.

    Raises:
        SplitError: no image to train on, or no labelled pixel or a single class on either side.
    """
    if not split.train:
        raise SplitError("there is no image to train on; the split's training side is empty")
    scored = split if labelled else Split(train=(), validation=split.validation)
    require_classes(scored, cache.entries, name="the split")
