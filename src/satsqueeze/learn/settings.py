"""What a training run is told."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from satsqueeze.core.errors import SettingsError
from satsqueeze.learn.augment.patches import AugmentSettings
from satsqueeze.learn.schedule import OptimiserName, ScheduleName, learning_rate_factor
from satsqueeze.learn.scoring.segmenter import Precision


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """What every training run is told, whatever it is trained for."""

    epochs: int = 100
    """Rounds of `steps_per_epoch` steps; weights are saved and validated between them."""
    steps_per_epoch: int = 50
    """Steps of one batch each in an epoch."""
    batch_size: int = 12
    """Patches or images in a step."""
    learning_rate: float = 1e-2
    """The highest of the schedule."""
    optimiser: OptimiserName = "sgd"
    """``sgd`` has Nesterov momentum; ``muon`` suits small networks and short runs."""
    schedule: ScheduleName = "poly"
    """Of the learning rate: `poly` and `cosine` fall from the start, `onecycle` rises first."""
    weight_decay: float = 3e-5
    """Per step, relative to the learning rate."""
    clip_norm: float = 12.0
    """Limit of the gradient's norm; 0 = no limit."""
    seed: int = 0
    """Of everything that is drawn; the same seed gives the same result on one machine."""
    precision: Precision = "auto"
    """`bf16`, `fp32`, or `auto`: bf16 where the processor computes in it."""
    channels_last: bool = True
    """Keep the channels of a pixel side by side in memory; faster on processors."""
    compile: bool = False
    """Compile the network; pays off in long runs only."""
    average_decay: float | None = None
    """Decay per step of an exponential average of the weights, which is then what is scored and kept; None = off."""
    keep_statistics: bool = False
    """Leave the running means and variances of batch norms as they are: for a network that has been trained and goes on
    with images that are varied more."""
    validate_every: int = 1
    """Epochs between validations; the last epoch is always validated."""
    score_smoothing: float = 0.9
    """Weight of the past in the smoothed validation score that chooses the best epoch."""
    keep: Literal["best", "last"] = "best"
    """Weights to keep; ``last`` does not choose by the validation images, so that their score stays unbiased."""
    progress: bool = field(default=True, compare=False)
    """Show a progress bar where standard error is a terminal."""

    def __post_init__(self) -> None:
        for name in ("epochs", "steps_per_epoch", "batch_size", "validate_every"):
            if getattr(self, name) < 1:
                raise SettingsError(f"fit setting '{name}' must be at least 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise SettingsError(f"training needs a seed >= 0, got {self.seed}")
        if self.learning_rate <= 0 or min(self.weight_decay, self.clip_norm) < 0:
            raise SettingsError(
                "learning rate must be > 0, weight decay and clip norm >= 0, got "
                f"{self.learning_rate}, {self.weight_decay}, {self.clip_norm}"
            )
        self._require_share("average_decay")
        self._require_share("score_smoothing", below_one=True)
        if self.keep not in ("best", "last"):
            raise SettingsError(f"fit setting 'keep' must be best or last, got {self.keep!r}")
        if self.optimiser not in ("sgd", "adamw", "muon") or self.precision not in ("auto", "bf16", "fp32"):
            raise SettingsError(f"unknown optimiser {self.optimiser!r} or precision {self.precision!r}")
        self.learning_rate_at(0)

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of a step.

        Raises:
            SettingsError: an unknown schedule.
        """
        return self.learning_rate * learning_rate_factor(
            self.schedule, step=step, steps_per_epoch=self.steps_per_epoch, epochs=self.epochs
        )

    def validates(self, epoch: int) -> bool:
        """Whether validation follows epoch number ``epoch``, counted from 0."""
        return (epoch + 1) % self.validate_every == 0 or epoch + 1 == self.epochs

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready record of all that the result depends on."""
        return {key: value for key, value in asdict(self).items() if key != "progress"}

    def _require_share(self, name: str, *, below_one: bool = False) -> None:
        value = getattr(self, name)
        if value is not None and not (0 <= value < 1 or (value == 1 and not below_one)):
            raise SettingsError(f"fit setting '{name}' must lie in [0, 1{')' if below_one else ']'}, got {value}")


@dataclass(frozen=True, kw_only=True)
class FitSettings(TrainSettings):
    """One run in segmentation. The defaults are nnU-Net v2's, but for the length, which is its plan's to choose."""

    patch_size: tuple[int, int] = (256, 256)
    """Pixels (h, w)."""
    foreground_share: float = 1 / 3
    """Share of each batch that is made to hold a foreground pixel."""
    source_weights: dict[str, float] | None = None
    """How often each data source is drawn, relative to the others; None = as the data set weighs them, or else by its
    number of images."""
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    """Changes of images in training."""
    validation_overlap: float = 0.25
    """Overlap of the sliding windows while training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.patch_size) < 1:
            raise SettingsError(f"patch size must be positive, got {self.patch_size}")
        self._require_share("foreground_share")
        self._require_share("validation_overlap", below_one=True)

    def with_weights(self, weights: dict[str, float] | None) -> FitSettings:
        """The same settings with the data set's weights of its sources, unless they have their own."""
        return self if self.source_weights is not None else replace(self, source_weights=weights)

    @property
    def window(self) -> int:
        """Side of the sliding windows in validation, pixels."""
        return max(self.patch_size)
