"""What a network's dense features look like: their main components as colours, beside the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from satsqueeze.core.errors import MissingDependencyError
from satsqueeze.core.window import Window
from satsqueeze.data.cache.packed import SEGMENTATION, PackedCache
from satsqueeze.flight.outputs.palette import NODATA_COLOUR
from satsqueeze.flight.outputs.quicklook import true_colour
from satsqueeze.learn.scoring.evaluate import channels
from satsqueeze.nets.input_check import next_multiple
from satsqueeze.nets.model import SegmentationModel, build_model
from satsqueeze.pretrain.features import Backbone, Scope
from satsqueeze.pretrain.places import places_of
from satsqueeze.pretrain.view_settings import ViewSettings

LARGEST_SIDE = 192
"""Of a picture, in pixels; of larger images the middle is shown."""
_EVERY = 4  # of the pixels shown, those that components are fitted on
_SPREAD = (2.0, 98.0)  # percentiles of a component that become black and full colour

Features = NDArray[np.float32]
"""(F, H, W)."""


@dataclass(frozen=True, kw_only=True)
class EmbeddingPanel:
    """One image and what networks make of it."""

    name: str
    image: NDArray[np.uint8]
    """True colour, uint8 (H, W, 3)."""
    before: NDArray[np.uint8]
    """Components of the features of the network as it was drawn, uint8 (H, W, 3)."""
    after: NDArray[np.uint8]
    """Components of the features after pre-training, uint8 (H, W, 3)."""
    label: NDArray[np.uint8] | None
    """uint8 (H, W), 255 = does not count; None without one."""


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Pictures of dense features, whose colours mean the same in all of them."""

    panels: tuple[EmbeddingPanel, ...]
    before: float
    """Share of the variance of the drawn network's features that the colours hold, 0 to 1."""
    after: float
    """The same after pre-training."""


def embedding(
    model: SegmentationModel,
    cache: PackedCache,
    ids: Sequence[str],
    *,
    seed: int,
    scope: Scope,
    place: str = "",
    count: int = 4,
) -> Embedding:
    """Look at a network after its pre-training, and at the same network as its seed had drawn it.

    Principal components are fitted once over the valid pixels of all images shown, for each network apart; the first
    three are red, green and blue.

    Args:
        model: after pre-training; left in evaluation mode.
        cache: images.
        ids: those to choose from.
        seed: from which it had been drawn.
        scope: what was trained.
        place: how names tell places; see :class:`satsqueeze.pretrain.view_settings.ViewSettings`.
        count: how many places are shown; of each, the date with the most labelled, else the most valid pixels.

    Raises:
        DataError: no image, or one that is not in the cache.
        SettingsError, GridError: see :func:`satsqueeze.pretrain.places.places_of`.
        MissingDependencyError: scikit-learn is not installed.
    """
    shown = _chosen(cache, ids, place, count)
    windows = [_middle(cache, position) for position in shown]
    valid = [cache.valid(position, window) for position, window in zip(shown, windows, strict=True)]
    drawn = build_model(model.card, seed=seed)
    pictures, shares = [], []
    for network in (drawn, model):
        taken = channels(network, cache)
        images = [cache.image(position, window) for position, window in zip(shown, windows, strict=True)]
        images = images if taken is None else [image[taken] for image in images]
        coloured, share = coloured_features([features_of(network, image, scope) for image in images], valid)
        pictures.append(coloured)
        shares.append(share)
    panels = tuple(
        EmbeddingPanel(
            name=cache.entries[position].id,
            image=true_colour(cache.image(position, window), cache.bands).astype(np.uint8),
            before=before,
            after=after,
            label=np.array(cache.label(position, window)) if cache.entries[position].labelled else None,
        )
        for position, window, before, after in zip(shown, windows, *pictures, strict=True)
    )
    return Embedding(panels=panels, before=shares[0], after=shares[1])


def features_of(model: SegmentationModel, image: NDArray[np.float32], scope: Scope) -> Features:
    """Dense features of an image (C, H, W) of reflectance, brought to its resolution bilinearly."""
    height, width = image.shape[1:]
    sides = [next_multiple(max(side, 2), model.size_multiple) for side in (height, width)]
    padded = functional.pad(
        torch.from_numpy(np.ascontiguousarray(image))[None],
        (0, sides[1] - width, 0, sides[0] - height),
        mode="replicate",
    )
    model.eval()
    with torch.inference_mode():
        found = Backbone(model, scope)(padded.to(model.mean.device)).float()
        whole = functional.interpolate(found, size=tuple(sides), mode="bilinear", align_corners=False)
    features: Features = whole[0, :, :height, :width].cpu().numpy()
    return features


def coloured_features(
    features: Sequence[Features], valid: Sequence[NDArray[np.bool_]]
) -> tuple[list[NDArray[np.uint8]], float]:
    """The first three principal components of features as red, green and blue.

    Args:
        features: of each image.
        valid: of each image, bool (H, W): pixels that components and their ranges are fitted on; others are shown as
            having no data.

    Returns:
        Pictures uint8 (H, W, 3), and the share of the variance that they hold, 0 to 1.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    try:
        from sklearn.decomposition import PCA
    except ImportError as error:
        raise MissingDependencyError("scikit-learn", "train") from error
    pixels = [np.moveaxis(image, 0, -1)[where] for image, where in zip(features, valid, strict=True)]
    pictures = [np.full((*where.shape, 3), NODATA_COLOUR, np.uint8) for where in valid]
    seen = np.concatenate(pixels)[::_EVERY].astype(np.float64)
    if len(seen) < 2 or not seen.var(axis=0).any():
        return pictures, 0.0
    components = PCA(n_components=min(3, *seen.shape), svd_solver="covariance_eigh").fit(seen)
    scores = [components.transform(part) for part in pixels]
    low, high = np.percentile(np.concatenate(scores), _SPREAD, axis=0)
    for picture, where, part in zip(pictures, valid, scores, strict=True):
        colours = np.zeros((len(part), 3), np.uint8)
        colours[:, : part.shape[1]] = np.rint(255 * np.clip((part - low) / np.maximum(high - low, 1e-12), 0, 1))
        picture[where] = colours
    return pictures, float(components.explained_variance_ratio_.sum())


def _chosen(cache: PackedCache, ids: Sequence[str], place: str, count: int) -> list[int]:
    """Positions of the clearest date of places that are spread evenly over all, in the order of their names."""
    places = sorted(places_of(cache, sorted(ids), ViewSettings(place=place)))
    picked = places if len(places) <= count else [places[round(i)] for i in np.linspace(0, len(places) - 1, count)]
    return [max(dates, key=lambda date: (_counted(cache, date), -date)) for dates in picked]


def _counted(cache: PackedCache, position: int) -> int:
    entry = cache.entries[position]
    return sum(entry.class_pixels) if entry.labelled and cache.task == SEGMENTATION else entry.valid_pixels


def _middle(cache: PackedCache, position: int) -> Window:
    entry = cache.entries[position]
    height, width = min(entry.height, LARGEST_SIDE), min(entry.width, LARGEST_SIDE)
    return Window(row=(entry.height - height) // 2, col=(entry.width - width) // 2, height=height, width=width)
