"""The training step, as Lightning runs it."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, Generic, Protocol, TypeVar, cast

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.optimizer import Optimizer
from torch.optim.swa_utils import AveragedModel
from typing_extensions import override

from satsqueeze.core.errors import TrainError
from satsqueeze.learn.augment.draws import step_seed
from satsqueeze.learn.augment.patches import Augmenter, soft_from_bytes
from satsqueeze.learn.batch import TrainBatch
from satsqueeze.learn.losses import Objective
from satsqueeze.learn.schedule import build_optimiser
from satsqueeze.learn.settings import FitSettings, TrainSettings
from satsqueeze.nets.model import SegmentationModel

Tensors = tuple[Tensor, ...] | list[Tensor]

_CHECK_EVERY = 20  # steps between looks at the loss on a GPU, where each look waits for the device


class StepBatch(Protocol):
    """What every batch has."""

    @property
    def images(self) -> Tensor:
        """Float32 reflectance (N, C, h, w)."""
        ...

    @property
    def step(self) -> int:
        """Global number of the step."""
        ...


BatchT = TypeVar("BatchT", bound=StepBatch)


class TrainingTask(pl.LightningModule, Generic[BatchT]):
    """Trains a model; everything random depends on the seed and the number of the step alone.

    Args:
        model: trained in place.
        settings: see there.
    """

    def __init__(self, model: SegmentationModel, settings: TrainSettings) -> None:
        super().__init__()
        self.model, self.settings = model, settings
        self.averaged = None if settings.average_decay is None else averaged(model, settings.average_decay)
        # Kept out of the module tree: the compiled network shares its weights with the model.
        self._network = (torch.compile(model) if settings.compile else model,)
        self._optimiser_state: dict[str, Any] | None = None
        self._sums: dict[str, Tensor] = {}
        self._steps = self._last_step = 0

    @property
    def trained(self) -> nn.Module:
        """What the optimiser changes."""
        return self.model

    @property
    def scored(self) -> SegmentationModel:
        """The model that is scored and kept: the averaged weights where there are any."""
        return self.model if self.averaged is None else cast("SegmentationModel", self.averaged.module)

    @abstractmethod
    def augmented(self, batch: BatchT) -> BatchT:
        """The batch as it is trained on."""

    @abstractmethod
    def losses(self, batch: BatchT) -> dict[str, Tensor]:
        """Scalars by name, of which ``loss`` is minimised, for a batch."""

    @override
    def on_train_epoch_start(self) -> None:
        """Set the mode of every layer, whatever it was: Lightning trains in the mode that it finds."""
        self.model.train()
        if self.settings.keep_statistics:
            for norm in self.model.modules():
                if isinstance(norm, _BatchNorm):
                    norm.eval()

    @override
    def on_after_batch_transfer(self, batch: BatchT, dataloader_idx: int) -> BatchT:
        """Augment on the device that trains."""
        return self.augmented(batch)

    @override
    def on_train_batch_start(self, batch: BatchT, batch_idx: int) -> None:
        """Set the learning rate, and the seed of dropout."""
        torch.manual_seed(step_seed(self.settings.seed, batch.step))
        for group in self._optimiser().param_groups:
            group["lr"] = self.settings.learning_rate_at(batch.step)

    @override
    def training_step(self, batch: BatchT, batch_idx: int) -> Tensor:
        """Loss of a batch.

        Raises:
            TrainError: the loss is not finite.
        """
        losses = self.losses(batch)
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, torch.zeros((), device=self.device)) + value.detach().float()
        self._steps, self._last_step = self._steps + 1, batch.step
        if self.device.type == "cpu" or self._steps % _CHECK_EVERY == 0:
            self._refuse_divergence()
        return losses["loss"]

    def output(self, images: Tensor) -> Tensor | list[Tensor]:
        """What the network makes of images (N, C, h, w)."""
        answer: Tensor | list[Tensor] = self._network[0](self.laid_out(images))
        return answer

    def laid_out(self, images: Tensor) -> Tensor:
        """Images (N, C, h, w) in memory as the settings say."""
        return images.contiguous(memory_format=torch.channels_last) if self.settings.channels_last else images

    @override
    def on_train_batch_end(self, outputs: object, batch: BatchT, batch_idx: int) -> None:
        """Update the averaged weights."""
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)

    def observed(self) -> dict[str, float | None]:
        """What else the history is to tell of an epoch; called at its end, outside of the time that is measured."""
        return {}

    def mean_losses(self) -> dict[str, float]:
        """Mean of every part of the loss since the last call.

        Raises:
            TrainError: the loss is not finite.
        """
        self._refuse_divergence()
        means = {name: float(value) / self._steps for name, value in self._sums.items()}
        self._sums, self._steps = {}, 0
        return means

    @override
    def configure_gradient_clipping(self, optimizer: Optimizer, *args: object, **kwargs: object) -> None:
        """Clip the norm of the gradient; Lightning's own clipping refuses fused optimisers under autocast."""
        if self.settings.clip_norm:
            nn.utils.clip_grad_norm_(self.trained.parameters(), self.settings.clip_norm)

    @override
    def configure_optimizers(self) -> Optimizer:
        """The optimiser, as far as an earlier run had brought it."""
        optimiser = self.built_optimiser()
        if self._optimiser_state is not None:
            optimiser.load_state_dict(self._optimiser_state)
            self._optimiser_state = None
        return optimiser

    def built_optimiser(self) -> Optimizer:
        """The optimiser at the start of training."""
        return build_optimiser(
            self.settings.optimiser,
            self.trained.parameters(),
            learning_rate=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )

    def snapshot(self) -> dict[str, Any]:
        """Everything that later steps depend on."""
        return {
            "model": self.model.state_dict(),
            "averaged": None if self.averaged is None else self.averaged.state_dict(),
            "optimiser": self._optimiser().state_dict(),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take up a :meth:`snapshot` before training starts."""
        self.model.load_state_dict(snapshot["model"])
        if self.averaged is not None:
            self.averaged.load_state_dict(snapshot["averaged"])
        self._optimiser_state = snapshot["optimiser"]

    def _optimiser(self) -> Optimizer:
        found = self.optimizers(use_pl_optimizer=False)
        if isinstance(found, list):
            raise TrainError(f"training runs one optimiser, got {len(found)}")
        return found

    def _refuse_divergence(self) -> None:
        total = float(self._sums["loss"])
        if not math.isfinite(total):
            rate = self.settings.learning_rate
            raise TrainError(
                f"the loss became {total} at or before step {self._last_step} with a learning rate of {rate:g} and "
                f"precision {self.settings.precision}. Lower the learning rate (try {rate / 10:g}), or set the "
                "precision to fp32, and check that the images hold reflectance without NaN"
            )


class SegmentationTask(TrainingTask[TrainBatch]):
    """Trains a model to segment.

    Args:
        model: trained in place.
        objective: what to minimise.
        settings: see there.
    """

    def __init__(self, model: SegmentationModel, objective: Objective, settings: FitSettings) -> None:
        super().__init__(model, settings)
        self.objective = objective
        self._augment = Augmenter(settings.augment, scaling=model.card.scaling, seed=settings.seed)

    @override
    def augmented(self, batch: TrainBatch) -> TrainBatch:
        """Augmented images, with labels and teacher probabilities moved alike."""
        return self._augment(batch if batch.soft is None else batch._replace(soft=soft_from_bytes(batch.soft)))

    @override
    def losses(self, batch: TrainBatch) -> dict[str, Tensor]:
        """The objective's."""
        return self.objective(self.output(batch.images), batch.labels.long(), batch.soft)


def averaged(model: SegmentationModel, decay: float) -> AveragedModel:
    """A running exponential average of the weights, that forgets its start faster at first; buffers are copied."""

    @torch.no_grad()
    def update(means: Tensors, weights: Tensors, updates: Tensor | int) -> None:
        count = float(updates)
        torch._foreach_lerp_(means, weights, 1 - min(decay, (1 + count) / (10 + count)))

    return AveragedModel(model, multi_avg_fn=update, use_buffers=False)
