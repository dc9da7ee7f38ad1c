"""How long the teacher trains and in which batches: as nnU-Net does, as told, or as many minutes allow."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from satsqueeze.core.errors import SettingsError
from satsqueeze.learn.augment.patches import AugmentSettings
from satsqueeze.learn.settings import FitSettings
from satsqueeze.plan import rules
from satsqueeze.plan.budget import Budget, TrainingLoad
from satsqueeze.plan.cost_model import macs_per_pixel
from satsqueeze.plan.decision import Decision
from satsqueeze.plan.feature_maps import feature_map_elements
from satsqueeze.plan.presets import planner_preset
from satsqueeze.plan.shrink import shrink_to_budget
from satsqueeze.plan.unet_plan import UNetPlan

NNUNET_EPOCHS, NNUNET_STEPS = 1000, 250
FEWEST_STEPS = 400
"""Steps below which a network is shrunk rather than trained for less."""
SHORT_SCHEDULE = 10_000
"""Steps below which nnU-Net's recipe has no time to work, so that parts of it are replaced; see :func:`recipe`."""
SMALLEST_BATCH = 6
"""Patches that a batch of a short schedule holds at least, where memory allows."""
ELONGATED = 1.5
"""Ratio of a patch's sides above which large turns would fill it with reflections."""
SMALL_TURN = 15.0
"""Degrees by which such patches are turned at most; both by nnU-Net v2."""
EPOCHS = 20
"""Epochs into which a schedule bounded in minutes is cut: checkpoints and validations, no more."""
SHORT_RATE = 5e-3
"""Highest learning rate of a short schedule."""
_ROUNDS = 3  # a smaller network computes slower per operation: measure it again, but not for ever

Norm = Literal["instance", "batch"]
Speed = Callable[[UNetPlan, Norm], float]
"""Multiply-accumulates per second that training a plan with a norm reaches here."""


@dataclass(frozen=True, kw_only=True)
class ScheduleSettings:
    """What the planner is told about training instead of deciding it; None leaves it to the rules."""

    epochs: int | None = None
    """None: as the budget of minutes, or nnU-Net's length, gives."""
    steps_per_epoch: int | None = None
    """None: as the plan gives."""
    batch_size: int | None = None
    """Patches in a step; None: as the plan gives."""
    patch_size: tuple[int, int] | None = None
    """Pixels (h, w), multiples of the network's total stride; the network stays as planned, unless it exceeds a
    budget with this patch."""

    def __post_init__(self) -> None:
        for name in ("epochs", "steps_per_epoch", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"schedule {name}: got {value}, expected at least 1, or nothing")

    @property
    def is_told(self) -> bool:
        """Whether the number of steps is given."""
        return self.epochs is not None or self.steps_per_epoch is not None


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A plan with its final patch and batch, and how long it is trained."""

    unet: UNetPlan
    epochs: int = NNUNET_EPOCHS
    steps_per_epoch: int = NNUNET_STEPS
    decisions: tuple[Decision, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a schedule is planned for."""

    channels: int
    labels: int
    planner: str
    vram_gb: float | None = None
    budget: Budget = field(default_factory=Budget)
    told: ScheduleSettings = field(default_factory=ScheduleSettings)
    norm: Norm | None = None
    """As told, or None for the rule of :func:`recipe`."""
    speed: Speed | None = None
    """Needed where the budget limits minutes."""

    @property
    def minutes(self) -> float:
        """The limit, infinite where there is none."""
        return math.inf if self.budget.train_minutes is None else self.budget.train_minutes

    def measured(self, unet: UNetPlan) -> float:
        """Multiply-accumulates per second of training ``unet`` for a short time, which is what minutes are stated for.

        Raises:
            SettingsError: nobody gave a way to measure it.
        """
        if self.speed is None:
            raise SettingsError("budget train_minutes: the training speed of this machine is needed; measure it first")
        return self.speed(unet, self.norm or _short_norm(unet.batch_size))

    def patches(self, unet: UNetPlan, macs_per_second: float) -> int:
        """Patches that the minutes allow."""
        macs = macs_per_pixel(unet.architecture, channels=self.channels, labels=self.labels)
        per_patch = TrainingLoad(macs_per_second=macs_per_second).passes * macs * math.prod(unet.patch_size)
        return int(self.minutes * 60 * macs_per_second / per_patch)


def plan_schedule(unet: UNetPlan, request: Request) -> Schedule:
    """Patch, batch and steps of a planned network that already meets all other limits of the budget.

    Without instructions and without a limit on minutes they are nnU-Net's. Under a limit, steps go first, down to
    ``FEWEST_STEPS``; then a batch above ``SMALLEST_BATCH``; only then is the network shrunk.

    Raises:
        BudgetError: not even the smallest network can be trained in the minutes.
        SettingsError: a patch that the network cannot take, or minutes without a measured speed.
    """
    told = request.told
    start = Schedule(unet=unet)
    if told.patch_size is not None and told.patch_size != unet.patch_size:
        start = _with(start, "patch-told", f"patch {told.patch_size} px, as told.", patch_size=told.patch_size)
        for_space = replace(request.budget, train_minutes=None)
        start = replace(start, unet=_shrunk(start, replace(request, budget=for_space)))
    if told.batch_size is not None:
        start = _with(start, "batch-told", f"{told.batch_size} patches, as told.", batch_size=told.batch_size)
    elif told.is_told or request.minutes < math.inf:
        start = _steady_batch(start, request)
    if told.is_told:
        return _as_told(start, request)
    return _within_minutes(start, request) if request.minutes < math.inf else start


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained, and with which norm, so that it suits the length of its training."""

    fit: FitSettings
    norm: Norm
    decisions: tuple[Decision, ...]


def recipe(fit: FitSettings, norm: Norm | None = None) -> Recipe:
    """nnU-Net's recipe, or what replaces parts of it where the schedule is too short for them.

    Args:
        fit: the schedule, otherwise nnU-Net's settings.
        norm: as told, or None for the rule.
    """
    told = () if norm is None else (Decision("norm", f"{norm} norm, as told."),)
    turned: tuple[Decision, ...] = ()
    if max(fit.patch_size) > ELONGATED * min(fit.patch_size):
        turn = Decision(
            "rotation",
            f"turns by up to {SMALL_TURN:g} degrees, as nnU-Net: patches of {fit.patch_size} px are elongated.",
        )
        fit, turned = replace(fit, augment=replace(fit.augment, rotation_degrees=SMALL_TURN)), (turn,)
    if fit.steps >= SHORT_SCHEDULE:
        as_nnunet = Decision("recipe", "SGD with Nesterov momentum 0.99, poly schedule, all augmentations, as nnU-Net.")
        return Recipe(fit=fit, norm=norm or "instance", decisions=(as_nnunet, *turned, *told))
    short = replace(
        fit,
        optimiser="adamw",
        schedule="onecycle",
        learning_rate=SHORT_RATE,
        weight_decay=1e-2,
        augment=replace(AugmentSettings.geometric(), rotation_degrees=fit.augment.rotation_degrees),
    )
    few = f"{fit.steps} steps are few (fewer than {SHORT_SCHEDULE:,})"
    decisions = (
        Decision("optimiser", f"AdamW with one cycle to {SHORT_RATE:g}, not SGD with momentum 0.99, since {few}."),
        Decision("augmentation", f"flips, turns and scaling only, no change of intensity, since {few}."),
        *turned,
    )
    if told or _short_norm(fit.batch_size) == "instance":
        return Recipe(fit=short, norm=norm or "instance", decisions=(*decisions, *told))
    by_rule = Decision(
        "norm",
        f"batch norm, not instance norm: this hides the absolute reflectance of a patch from the network, which takes "
        f"long training to make up for, and {few}.",
    )
    return Recipe(fit=short, norm="batch", decisions=(*decisions, by_rule))


def _short_norm(batch_size: int) -> Norm:
    """Of the network of a short schedule: statistics of a smaller batch would be too noisy."""
    return "batch" if batch_size >= SMALLEST_BATCH else "instance"


def _with(schedule: Schedule, rule: str, reason: str, **changes: object) -> Schedule:
    """A schedule with another plan, and why."""
    unet = replace(schedule.unet, **changes)  # type: ignore[arg-type]
    return replace(schedule, unet=unet, decisions=(*schedule.decisions, Decision(rule, reason)))


def _steady_batch(schedule: Schedule, request: Request) -> Schedule:
    """Undo nnU-Net's limit of 5 % of the images per batch: in few steps, a pair of patches is too noisy a sample."""
    unet, preset = schedule.unet, planner_preset(request.planner)
    memory = rules.memory_limit(preset, vram_gb=request.vram_gb or preset.reference_gb).value
    elements = feature_map_elements(unet.architecture, patch_size=unet.patch_size, labels=request.labels)
    batch = min(SMALLEST_BATCH, int(memory / elements * preset.reference_batch))
    if batch <= unet.batch_size:
        return schedule
    reason = (
        f"{unet.batch_size} -> {batch} patches: nnU-Net's {unet.batch_size} suit its {NNUNET_EPOCHS * NNUNET_STEPS:,} "
        f"steps; a short schedule needs steadier gradients, and memory allows it."
    )
    return _with(schedule, "batch-for-short-schedule", reason, batch_size=batch)


def _as_told(schedule: Schedule, request: Request) -> Schedule:
    told = request.told
    epochs, steps = told.epochs or NNUNET_EPOCHS, told.steps_per_epoch or NNUNET_STEPS
    reason = Decision("steps-told", f"{epochs} epochs of {steps} steps, as told (nnU-Net: 1000 of 250).")
    done = replace(schedule, epochs=epochs, steps_per_epoch=steps, decisions=(*schedule.decisions, reason))
    if request.minutes == math.inf:
        return done
    return replace(done, unet=_shrunk(done, request, _load(done, request.measured(done.unet))))


def _within_minutes(schedule: Schedule, request: Request) -> Schedule:
    for _ in range(_ROUNDS):
        speed = request.measured(schedule.unet)
        patches = request.patches(schedule.unet, speed)
        batch = schedule.unet.batch_size
        if patches // batch < FEWEST_STEPS and batch > SMALLEST_BATCH and request.told.batch_size is None:
            smaller = max(SMALLEST_BATCH, patches // FEWEST_STEPS)
            reason = f"{batch} -> {smaller} patches: {request.minutes:g} minutes hold only about {patches:,} patches."
            schedule = _with(schedule, "batch-for-time", reason, batch_size=smaller)
        steps = min(max(patches // schedule.unet.batch_size, FEWEST_STEPS), NNUNET_EPOCHS * NNUNET_STEPS)
        timed = replace(schedule, epochs=EPOCHS, steps_per_epoch=steps // EPOCHS)
        unet = _shrunk(timed, request, _load(timed, speed))
        if unet == timed.unet:
            break
        schedule = replace(schedule, unet=unet)
    reason = (
        f"{EPOCHS} epochs of {timed.steps_per_epoch} steps instead of nnU-Net's 1000 of 250: {request.minutes:g} "
        f"minutes at the measured {speed / 1e9:.0f} GMAC/s."
    )
    return replace(timed, unet=unet, decisions=(*schedule.decisions, Decision("steps-for-time", reason)))


def _load(schedule: Schedule, speed: float) -> TrainingLoad:
    return TrainingLoad(macs_per_second=speed, epochs=schedule.epochs, steps_per_epoch=schedule.steps_per_epoch)


def _shrunk(schedule: Schedule, request: Request, load: TrainingLoad | None = None) -> UNetPlan:
    """The plan within the budget; a patch that was told stays."""
    return shrink_to_budget(
        schedule.unet,
        request.budget,
        channels=request.channels,
        labels=request.labels,
        training=load,
        keep_patch=request.told.patch_size is not None,
    )[0]
