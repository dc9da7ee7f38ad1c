"""The plan stage: from a fingerprint and a budget to everything that training needs, each decision with its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.files import read_json, write_json
from satsqueeze.core.run import plain
from satsqueeze.data.fingerprint import Fingerprint
from satsqueeze.learn.augment import AugmentSettings
from satsqueeze.learn.settings import FitSettings
from satsqueeze.nets.card import ModelCard, Normalisation
from satsqueeze.nets.unet_config import UNetConfig
from satsqueeze.plan.budget import Budget, TrainingLoad
from satsqueeze.plan.cost_model import macs_per_pixel
from satsqueeze.plan.decision import Decision
from satsqueeze.plan.shrink import shrink_to_budget
from satsqueeze.plan.unet_plan import UNetPlan, plan_unet

FEWEST_STEPS = 400
"""Steps below which a network is shrunk rather than trained for less."""
SHORT_SCHEDULE = 10_000
"""Steps below which momentum 0.99 has no time to settle, so that AdamW with one cycle takes the place of SGD."""
SMALLEST_BATCH = 6
EPOCHS = 20
"""Epochs into which a schedule bounded in minutes is cut: checkpoints and validations, no more."""


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """What the planner is told besides the data."""

    planner: str = "ExperimentPlanner"
    """nnU-Net planner: ExperimentPlanner (plain encoder), nnUNetPlannerResEncM, ...L or ...XL."""
    vram_gb: float | None = None
    """GPU memory that nnU-Net's rules plan for, in GB; by default the planner's own."""
    normalisation: Normalisation = "dataset"
    """Reflectance by the data set's mean and spread, or per image (nnU-Net's default; loses absolute reflectance)."""
    budget: Budget = field(default_factory=Budget)
    """Limits that shrink the plan."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """Network, normalisation and training of the teacher."""

    unet: UNetPlan
    card: ModelCard
    fit: FitSettings
    decisions: tuple[Decision, ...]

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
            RunError: absent or unreadable.
            SettingsError: not a plan.
        """
        record = read_json(path)
        return cls(
            unet=UNetPlan.from_dict(record["unet"]),
            card=ModelCard.from_dict(record["model"]),
            fit=_fit_from(record["fit"]),
            decisions=tuple(Decision(**decision) for decision in record["decisions"]),
        )


def read_budget(path: Path) -> Budget:
    """Read a YAML file of limits, such as ``parameters: 120000``.

    Raises:
        SettingsError: absent, malformed, or an unknown limit.
    """
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"cannot read the budget file {path}: {error}") from error
    if not isinstance(record, Mapping):
        raise SettingsError(f"{path}: got {record!r}, expected lines such as 'parameters: 120000'")
    return Budget.from_dict(dict(record))


def plan_training(fingerprint: Fingerprint, settings: PlanSettings, *, macs_per_second: float | None) -> TrainPlan:
    """Plan network and training for a data set.

    Args:
        fingerprint: of the training images.
        settings: see there.
        macs_per_second: multiply-accumulates per second that training reaches here; needed if minutes are limited.

    Raises:
        BudgetError: no plan meets the budget.
        SettingsError: minutes are limited but the speed is unknown.
    """
    height, width = fingerprint.median_shape
    unet = plan_unet(
        shape=(height, width),
        channels=len(fingerprint.bands),
        labels=len(fingerprint.classes),
        n=fingerprint.cases,
        planner=settings.planner,
        vram_gb=settings.vram_gb,
    )
    sizes = {"channels": len(fingerprint.bands), "labels": len(fingerprint.classes)}
    load, unet, extra = _fit_time(unet, settings.budget, macs_per_second, **sizes)
    unet, _ = shrink_to_budget(unet, settings.budget, **sizes, training=load)
    fit, schedule = _schedule(unet, load, settings, **sizes)
    card = ModelCard(
        name="teacher",
        family="unet",
        config=network(unet, in_channels=sizes["channels"], classes=sizes["labels"]),
        scaling=fingerprint.scaling(),
        bands=tuple(fingerprint.bands),
        classes=tuple(fingerprint.classes),
        foreground=tuple(fingerprint.foreground),
        normalisation=settings.normalisation,
    )
    decisions = (*unet.reasons, *extra, *schedule, *_conventions(fingerprint, card))
    return TrainPlan(unet=unet, card=card, fit=fit, decisions=decisions)


def network(plan: UNetPlan, *, in_channels: int, classes: int) -> UNetConfig:
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
        deep_supervision=True,
    )


def _fit_time(
    unet: UNetPlan, budget: Budget, macs_per_second: float | None, *, channels: int, labels: int
) -> tuple[TrainingLoad | None, UNetPlan, list[Decision]]:
    """Where minutes are limited: fewer steps first, then a smaller batch; what remains shrinks the network."""
    if budget.train_minutes is None:
        return None, unet, []
    if macs_per_second is None:
        raise SettingsError("budget train_minutes: the training speed of this machine is needed; measure it first")
    macs = macs_per_pixel(unet.architecture, channels=channels, labels=labels)
    per_image = math.prod(unet.patch_size) * macs * TrainingLoad(macs_per_second=1).passes / macs_per_second
    images = int(budget.train_minutes * 60 / per_image)
    batch = min(unet.batch_size, max(SMALLEST_BATCH, images // (2 * FEWEST_STEPS)))
    steps = max(images // batch, FEWEST_STEPS)
    steps_per_epoch = max(1, steps // EPOCHS)
    reasons = []
    if batch < unet.batch_size:
        reasons.append(
            Decision(
                "batch-for-time",
                f"batch {unet.batch_size} -> {batch}: {budget.train_minutes:g} minutes hold about {images} patches, "
                f"which make more steps in smaller batches.",
            )
        )
    reasons.append(
        Decision(
            "steps-for-time",
            f"{EPOCHS} epochs of {steps_per_epoch} steps instead of nnU-Net's 1000 of 250: {budget.train_minutes:g} "
            f"minutes at the measured {macs_per_second / 1e9:.0f} GMAC/s.",
        )
    )
    load = TrainingLoad(macs_per_second=macs_per_second, epochs=EPOCHS, steps_per_epoch=steps_per_epoch)
    return load, replace(unet, batch_size=batch), reasons


def _schedule(
    unet: UNetPlan, load: TrainingLoad | None, settings: PlanSettings, *, channels: int, labels: int
) -> tuple[FitSettings, list[Decision]]:
    del channels, labels
    epochs, steps = (1000, 250) if load is None else (load.epochs, load.steps_per_epoch)
    fit = FitSettings(
        epochs=epochs,
        steps_per_epoch=steps,
        batch_size=unet.batch_size,
        patch_size=unet.patch_size,
        seed=settings.seed,
    )
    if epochs * steps >= SHORT_SCHEDULE:
        return fit, [Decision("optimiser", "SGD, Nesterov momentum 0.99, poly schedule, as nnU-Net.")]
    short = replace(fit, optimiser="adamw", schedule="onecycle", learning_rate=1e-3, weight_decay=1e-2)
    reason = (
        f"AdamW with one cycle to 1e-3 instead of SGD with momentum 0.99: {epochs * steps} steps are too few for it "
        f"(fewer than {SHORT_SCHEDULE})."
    )
    return short, [Decision("optimiser", reason)]


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
    augment = {k: tuple(v) if isinstance(v, list) else v for k, v in values.pop("augment").items()}
    values["patch_size"] = tuple(values["patch_size"])
    return FitSettings(**values, augment=AugmentSettings(**augment))


