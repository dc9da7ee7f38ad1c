"""What a model is, apart from its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from satsqueeze.core.errors import BandError, SettingsError
from satsqueeze.core.scaling import Scaling
from satsqueeze.nets.baselines import SmpUNet, SmpUNetConfig
from satsqueeze.nets.classifier import FAMILY as CLASSIFIER_FAMILY
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.encoder_unet import EncoderUNet, EncoderUNetConfig
from satsqueeze.nets.series_unet import SeriesUNet, SeriesUNetConfig
from satsqueeze.nets.unet import UNet
from satsqueeze.nets.unet_config import UNetConfig
from satsqueeze.nets.zoo.scaling_config import SCALED_FAMILY, ScaledConfig, build_scaled

NetConfig = UNetConfig | SmpUNetConfig | ClassifierConfig | EncoderUNetConfig
Normalisation = Literal["dataset", "image"]
Task = Literal["segmentation", "classification", "multi-label"]
TASKS: tuple[Task, ...] = ("segmentation", "classification", "multi-label")


@dataclass(frozen=True, kw_only=True)
class Family:
    """How networks of one kind are described and built."""

    config: type[UNetConfig | SmpUNetConfig | ClassifierConfig | EncoderUNetConfig]
    build: Callable[[Any], nn.Module]
    """From a config to a network with freshly drawn weights."""
    tasks: tuple[Task, ...] = ("segmentation",)
    """What its networks are for."""


def _classifier(config: ClassifierConfig) -> nn.Module:
    # Here, because the zoo imports timm, which takes seconds, and segmentation does without it.
    from satsqueeze.nets.zoo import build_classifier

    network: nn.Module = build_classifier(config)
    return network


SERIES_FAMILY = "series-unet"
FAMILIES: dict[str, Family] = {
    "unet": Family(config=UNetConfig, build=UNet),
    SERIES_FAMILY: Family(config=SeriesUNetConfig, build=SeriesUNet),
    "smp-unet-resnet34": Family(config=SmpUNetConfig, build=SmpUNet),
    "encoder-unet": Family(config=EncoderUNetConfig, build=EncoderUNet),
    CLASSIFIER_FAMILY: Family(config=ClassifierConfig, build=_classifier, tasks=("classification", "multi-label")),
    SCALED_FAMILY: Family(config=ScaledConfig, build=build_scaled, tasks=("classification", "multi-label")),
}


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Everything that is needed to build a model again and to feed it.

    Raises:
        SettingsError: an unknown family or normalisation, a config or task of another family, or classes that do not
            fit it.
        BandError: bands that fit neither the config nor the scaling.
    """

    name: str
    family: str
    """A key of `FAMILIES`."""
    config: NetConfig
    scaling: Scaling
    """Used by normalisation ``"dataset"``; recorded in any case."""
    bands: tuple[str, ...]
    """Names of the input channels, in order."""
    classes: tuple[str, ...]
    """Names of the logits, in order."""
    foreground: tuple[int, ...]
    """Class values that count as positive in the headline Jaccard."""
    normalisation: Normalisation = "dataset"
    """By the data set's statistics, or per image and band over the pixels that are not 0 (nnU-Net's default)."""
    task: Task = "segmentation"
    """Logits per pixel; or per image with one class each (``classification``) or any number (``multi-label``)."""

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise SettingsError(f"unknown family {self.family!r}; known: {', '.join(FAMILIES)}")
        if not isinstance(self.config, FAMILIES[self.family].config):
            raise SettingsError(f"family {self.family!r} cannot be built from a {type(self.config).__name__}")
        if self.task not in FAMILIES[self.family].tasks:
            raise SettingsError(
                f"family {self.family!r} is for {' or '.join(FAMILIES[self.family].tasks)}, got task {self.task!r}"
            )
        if self.normalisation not in ("dataset", "image"):
            raise SettingsError(f"normalisation: got {self.normalisation!r}, expected 'dataset' or 'image'")
        if len(self.bands) != self.config.in_channels or self.bands != self.scaling.bands:
            raise BandError(
                f"the bands are {', '.join(self.bands)}, but the network takes {self.config.in_channels} channels "
                f"and the scaling is for {', '.join(self.scaling.bands)}; they must agree in number and order"
            )
        if len(self.classes) != self.config.classes or not set(self.foreground) <= set(range(len(self.classes))):
            raise SettingsError(
                f"{len(self.classes)} classes {self.classes} with foreground {self.foreground} do not fit a network "
                f"of {self.config.classes} classes"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` is its inverse."""
        record = {
            "name": self.name,
            "family": self.family,
            "config": self.config.to_dict(),
            "scaling": self.scaling.to_dict(),
            "bands": list(self.bands),
            "classes": list(self.classes),
            "foreground": list(self.foreground),
            "normalisation": self.normalisation,
        }
        # Left out where it says nothing new: the record is part of the fingerprint of older runs.
        return record if self.task == "segmentation" else record | {"task": self.task}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> ModelCard:
        """Read what `to_dict` wrote.

        Raises:
            SettingsError: unknown or missing keys, or an unknown family.
        """
        values = dict(record)
        family = FAMILIES.get(values.get("family", ""))
        if family is None:
            raise SettingsError(f"unknown family {values.get('family')!r}; known: {', '.join(FAMILIES)}")
        try:
            values["config"] = family.config.from_dict(values["config"])
            values["scaling"] = Scaling.from_dict(values["scaling"])
            for name in ("bands", "classes", "foreground"):
                values[name] = tuple(values[name])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise SettingsError(f"not a model card: {error}") from error
