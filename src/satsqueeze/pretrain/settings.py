"""What a pre-training run is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from satsqueeze.core.errors import SettingsError
from satsqueeze.learn.schedule import OptimiserName, ScheduleName
from satsqueeze.learn.settings import TrainSettings
from satsqueeze.pretrain.contrast import ContrastSettings
from satsqueeze.pretrain.edges import Edges
from satsqueeze.pretrain.features import Scope
from satsqueeze.pretrain.view_settings import ViewSettings


@dataclass(frozen=True, kw_only=True)
class PretrainSettings(TrainSettings):
    """One run. ``batch_size`` counts pairs of views; the last weights are kept."""

    epochs: int = 40
    """Rounds of `steps_per_epoch` steps; weights are saved and validated between them."""
    steps_per_epoch: int = 50
    """Steps of one batch each in an epoch."""
    batch_size: int = 16
    """Pairs of views in a step."""
    learning_rate: float = 3e-3
    """The highest of the schedule."""
    optimiser: OptimiserName = "adamw"
    """`sgd` (Nesterov), `adamw` or `muon`."""
    schedule: ScheduleName = "onecycle"
    """Of the learning rate: `poly` and `cosine` fall from the start, `onecycle` rises first."""
    weight_decay: float = 1e-2
    """Per step, relative to the learning rate."""
    keep: Literal["best", "last"] = "last"
    """Weights to keep: of the best epoch, or the last."""
    scope: Scope = "decoder"
    """Train encoder and decoder, or the encoder alone."""
    views: ViewSettings = field(default_factory=ViewSettings)
    """How two views of a place differ."""
    contrast: ContrastSettings = field(default_factory=ContrastSettings)
    """What is minimised."""
    forecast_weight: float = 10.0
    """Of series: weight of telling from a pixel's features what it looks like at the dates of the other view, beside
    the contrast; 0 = off, as it must be where both views are of the same dates."""
    edges: Edges = "repeated"
    """What convolutions see beyond a view's border while it is learnt: its last pixels, or zeros. By zeros every pixel
    knows how far it is from the border, which tells it from others without a look at the ground."""
    monitor_pixels: int = 2000
    """Labelled pixels, where there are labels, that k-NN and the linear probe look at after every epoch; 0 = none."""
    collapsed_above: float = -0.02
    """Uniformity above which an embedding counts as collapsed: 0 where all pixels are one point, -0.2 where they lie in
    a narrow cone, of which a small temperature still makes something."""
    collapse_patience: int = 3
    """Epochs in a row that it must be so."""
    on_collapse: Literal["stop", "warn"] = "stop"
    """Stop, or warn and go on, when the embedding collapses."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.compile:
            raise SettingsError("pre-training reads features from within the network, which cannot be compiled then")
        if self.keep != "last":
            raise SettingsError(f"pre-training has no score to choose an epoch by; keep must be last, got {self.keep}")
        if self.average_decay is not None:
            raise SettingsError("pre-training keeps the last weights; leave average_decay out")
        if self.forecast_weight < 0:
            raise SettingsError(f"forecast_weight must be >= 0, got {self.forecast_weight}")
        if self.forecast_weight and self.views.series and self.views.dates == "one":
            raise SettingsError(
                "both views show the same dates, so that there are no others to tell of; set forecast_weight to 0, or "
                "views.dates to auto"
            )
        if self.edges not in ("repeated", "zeros"):
            raise SettingsError(f"edges must be repeated or zeros, got {self.edges!r}")
        if self.monitor_pixels < 0 or self.collapse_patience < 1 or self.on_collapse not in ("stop", "warn"):
            raise SettingsError(
                "monitor_pixels must be >= 0, collapse_patience >= 1 and on_collapse stop or warn, got "
                f"{self.monitor_pixels}, {self.collapse_patience} and {self.on_collapse!r}"
            )
        if self.contrast.negatives == "images" and self.batch_size < 2 and not self.contrast.queue:
            raise SettingsError("negatives from other images need a batch size of at least 2, or a queue")
