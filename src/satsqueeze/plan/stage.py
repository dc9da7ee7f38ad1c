"""The plan stage: from a fingerprint and a budget to everything that training needs, each decision with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from satsqueeze.core.errors import BudgetError, RunError, SatsqueezeError
from satsqueeze.core.files import read_json, write_json
from satsqueeze.core.run import plain
from satsqueeze.data.cache.fingerprint import Fingerprint
from satsqueeze.learn.augment.patches import AugmentSettings
from satsqueeze.learn.settings import FitSettings
from satsqueeze.nets.card import ModelCard, Normalisation
from satsqueeze.nets.unet_config import UNetConfig
from satsqueeze.plan.budget import Budget
from satsqueeze.plan.cost_model import parameter_count
from satsqueeze.plan.decision import Decision
from satsqueeze.plan.presets import planner_preset
from satsqueeze.plan.schedule import Norm, Request, ScheduleSettings, Speed, plan_schedule, recipe
from satsqueeze.plan.shrink import shrink_to_budget
from satsqueeze.plan.unet_plan import UNetPlan, plan_unet


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """What the planner is told besides the data."""

    planner: str = "ExperimentPlanner"
    """nnU-Net planner: ExperimentPlanner (plain encoder), nnUNetPlannerResEncM, ...L or ...XL."""
    vram_gb: float | None = None
    """GPU memory that nnU-Net's rules plan for, in GB; by default the planner's own."""
    normalisation: Normalisation = "dataset"
    """Reflectance by the data set's mean and spread, or per image (nnU-Net's default; loses absolute reflectance)."""
    norm: Norm | None = None
    """Norm of the network's layers; by default nnU-Net's instance norm, batch norm under a short schedule."""
    budget: Budget = field(default_factory=Budget)
    """Limits that shrink the plan."""
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    """What is told instead of planned."""
    seed: int = 0
    """Of the trial steps by which minutes of training are estimated."""


@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """Network, normalisation and training of the teacher."""

    unet: UNetPlan
    card: ModelCard
    fit: FitSettings
    decisions: tuple[Decision, ...]

    @property
    def parameters(self) -> int:
        """Trainable parameters of one network, auxiliary heads included."""
        channels, labels = len(self.card.bands), len(self.card.classes)
        return parameter_count(self.unet.architecture, channels=channels, labels=labels)

    def write(self, path: Path) -> None:
        """Write ``plan.json``."""
        write_json(
            path,
            {
                "unet": self.unet.to_dict(),
                "model": self.card.to_dict(),
                "fit": plain(asdict(self.fit)),
                "decisions": [decision.to_dict() for decision in self.decisions],
            },
        )

    @classmethod
    def read(cls, path: Path) -> TrainPlan:
        """Read what :meth:`write` wrote.

        Raises:
            RunError: absent, unreadable or not a plan.
        """
        record = read_json(path)
        try:
            return cls(
                unet=UNetPlan.from_dict(record["unet"]),
                card=ModelCard.from_dict(record["model"]),
                fit=_fit_from(record["fit"]),
                decisions=tuple(Decision(**decision) for decision in record["decisions"]),
            )
        except (KeyError, TypeError, AttributeError, SatsqueezeError) as error:
            raise RunError(f"{path} is not a plan of this version ({error}); remove it and plan again") from error


def plan_training(fingerprint: Fingerprint, settings: PlanSettings, *, speed: Speed | None = None) -> TrainPlan:
    """Plan network and training for a data set.

    Args:
        fingerprint: of the training images.
        settings: see there.
        speed: measures how fast a plan trains here; needed if minutes are limited.

    Raises:
        BudgetError: no plan meets the budget, or memory or images are too small for a network of two stages.
        SettingsError: minutes are limited but the speed is unknown, or a patch that the network cannot take.
    """
    channels, labels = len(fingerprint.bands), len(fingerprint.classes)
    unet = plan_unet(
        shape=fingerprint.median_shape,
        channels=channels,
        labels=labels,
        n=fingerprint.cases,
        planner=settings.planner,
        vram_gb=settings.vram_gb,
    )
    _require_stages(unet, fingerprint, settings)
    unet, _ = shrink_to_budget(unet, replace(settings.budget, train_minutes=None), channels=channels, labels=labels)
    request = Request(
        channels=channels,
        labels=labels,
        planner=settings.planner,
        vram_gb=settings.vram_gb,
        budget=settings.budget,
        told=settings.schedule,
        norm=settings.norm,
        speed=speed,
    )
    schedule = plan_schedule(unet, request)
    unet = schedule.unet
    how = recipe(
        FitSettings(
            epochs=schedule.epochs,
            steps_per_epoch=schedule.steps_per_epoch,
            batch_size=unet.batch_size,
            patch_size=unet.patch_size,
            seed=settings.seed,
        ),
        settings.norm,
    )
    card = _card(fingerprint, unet, settings.normalisation, how.norm)
    decisions = (*unet.reasons, *schedule.decisions, *how.decisions, *_conventions(fingerprint, card))
    return TrainPlan(unet=unet, card=card, fit=how.fit, decisions=decisions)


def _require_stages(unet: UNetPlan, fingerprint: Fingerprint, settings: PlanSettings) -> None:
    """Refuse what nnU-Net's rules plan all the same: a single stage, of which no U-Net can be made."""
    if unet.n_stages < 2:
        memory = settings.vram_gb or planner_preset(settings.planner).reference_gb
        height, width = fingerprint.median_shape
        raise BudgetError(
            f"vram_gb: {memory:g} GB and images of {height:g}x{width:g} px leave a patch of "
            f"{unet.patch_size[0]}x{unet.patch_size[1]} px, which is too small to be halved; expected at least 8 px "
            "along both axes. Give more memory, or larger images"
        )


def network(plan: UNetPlan, *, in_channels: int, classes: int, norm: Norm = "instance") -> UNetConfig:
    """The network that a plan describes, with deep supervision."""
    return UNetConfig(
        in_channels=in_channels,
        classes=classes,
        features=plan.features_per_stage,
        strides=plan.strides,
        kernels=plan.kernel_sizes,
        convs_encoder=plan.n_conv_per_stage,
        convs_decoder=plan.n_conv_per_stage_decoder,
        encoder=plan.encoder,
        norm=norm,
        deep_supervision=True,
    )


def _card(fingerprint: Fingerprint, unet: UNetPlan, normalisation: Normalisation, norm: Norm) -> ModelCard:
    return ModelCard(
        name="teacher",
        family="unet",
        config=network(unet, in_channels=len(fingerprint.bands), classes=len(fingerprint.classes), norm=norm),
        scaling=fingerprint.scaling(),
        bands=tuple(fingerprint.bands),
        classes=tuple(fingerprint.classes),
        foreground=tuple(fingerprint.foreground),
        normalisation=normalisation,
    )


def _conventions(fingerprint: Fingerprint, card: ModelCard) -> list[Decision]:
    how: dict[Literal["dataset", "image"], str] = {
        "dataset": "reflectance by the training set's mean and standard deviation per band: absolute brightness tells "
        "cloud from ground, and an image of cloud alone stays bright",
        "image": "each image by its own mean and standard deviation, as nnU-Net does; absolute reflectance is lost",
    }
    return [
        Decision("normalisation", how[card.normalisation] + "."),
        Decision("ignore-label", "255 counts neither in the loss nor in a score."),
        Decision("folds", f"folds by group: {fingerprint.groups} scenes or locations, none on two sides."),
    ]


def _fit_from(record: Mapping[str, Any]) -> FitSettings:
    values = dict(record)
    augment: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.pop("augment").items()}
    values["patch_size"] = tuple(values["patch_size"])
    return FitSettings(**values, augment=AugmentSettings(**augment))
