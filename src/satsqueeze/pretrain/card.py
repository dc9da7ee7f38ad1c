"""Cards of networks that have no classes yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from satsqueeze.core.errors import SettingsError
from satsqueeze.data.cache.band_statistics import scaling_of
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.nets.card import SERIES_FAMILY, ModelCard
from satsqueeze.nets.named import named_network
from satsqueeze.nets.series_unet import SeriesUNetConfig
from satsqueeze.nets.unet_config import UNetConfig

CLASSES = ("unlabelled",)
"""Of a network before it has learnt any: a card names at least one, and nothing trains its head."""


def network_card(
    name: str, cache: PackedCache, ids: Sequence[str], *, classes: Sequence[str], foreground: Sequence[int] = ()
) -> ModelCard:
    """The card of a network for the bands of a cache, with the statistics of some images.

    Args:
        name: a student, such as ``unet-8`` or ``lite-16``, or ``encoder:resnet8``; see
            :mod:`satsqueeze.nets.named`.
        cache: images.
        ids: those whose statistics normalise.
        classes: names of the logits.
        foreground: classes that count in the headline Jaccard.

    Raises:
        SettingsError: no such network.
        DataError: no valid pixel.
    """
    network = named_network(name)
    return ModelCard(
        name=name,
        family=network.family,
        config=network.fitted(in_channels=len(cache.bands), classes=len(classes)),
        scaling=scaling_of(cache, ids),
        bands=cache.bands,
        classes=tuple(classes),
        foreground=tuple(foreground),
    )


def over_dates(card: ModelCard) -> ModelCard:
    """The card of a network over dates whose encoder and decoder are those of a network of one date.

    Raises:
        SettingsError: it is no U-Net of ours.
    """
    if not isinstance(card.config, UNetConfig):
        raise SettingsError(f"networks over dates are made of U-Nets of ours, got {card.name} of {card.family!r}")
    config = SeriesUNetConfig.over(card.config)
    return replace(card, name=f"{card.name}-series", family=SERIES_FAMILY, config=config)


def unlabelled(card: ModelCard, cache: PackedCache, ids: Sequence[str]) -> ModelCard:
    """The card of the same network without classes, for the bands and statistics of unlabelled images.

    Raises:
        SettingsError: the network does not segment.
        DataError: no valid pixel.
    """
    if card.task != "segmentation":
        raise SettingsError(f"{card.name} is for {card.task}; dense pre-training needs a network that segments")
    config = replace(card.config, in_channels=len(cache.bands), classes=len(CLASSES))
    if isinstance(config, UNetConfig):
        config = replace(config, deep_supervision=False)
    return replace(
        card, config=config, scaling=scaling_of(cache, ids), bands=cache.bands, classes=CLASSES, foreground=()
    )
