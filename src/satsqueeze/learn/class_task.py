"""The training step for decisions on whole images."""

from __future__ import annotations

from contextlib import nullcontext

from torch import Tensor
from torch.optim.optimizer import Optimizer
from typing_extensions import override

from satsqueeze.core.errors import TrainError
from satsqueeze.learn.augment.images import ClassAugmenter
from satsqueeze.learn.batch import ClassBatch
from satsqueeze.learn.class_losses import ClassObjective
from satsqueeze.learn.class_settings import ClassFitSettings
from satsqueeze.learn.freeze import HeldBody
from satsqueeze.learn.guide import Guide, Tap
from satsqueeze.learn.schedule import build_optimiser, decayed_apart
from satsqueeze.learn.task import TrainingTask
from satsqueeze.nets.model import SegmentationModel


class ClassTask(TrainingTask[ClassBatch]):
    """Trains a model to decide on whole images.

    Args:
        model: trained in place.
        objective: what to minimise.
        settings: see there.
        held: names of what is frozen in the first epochs, as in the model's state dict.
        guide: what the features of a layer follow besides.

    Raises:
        SettingsError: the model has no such layer.
    """

    def __init__(
        self,
        model: SegmentationModel,
        objective: ClassObjective,
        settings: ClassFitSettings,
        *,
        held: frozenset[str] = frozenset(),
        guide: Guide | None = None,
    ) -> None:
        super().__init__(model, settings)
        self.objective = objective
        self._augment = ClassAugmenter(settings.augment, seed=settings.seed, scaling=model.card.scaling)
        self._momentum = settings.momentum
        self._body = HeldBody(model, held)
        self._freeze_steps = settings.freeze_epochs * settings.steps_per_epoch
        self._guide, self._tap = guide, None if guide is None else Tap(model, guide.layer)

    @override
    def augmented(self, batch: ClassBatch) -> ClassBatch:
        """Varied images with their targets."""
        return self._augment(batch)

    @override
    def on_train_batch_start(self, batch: ClassBatch, batch_idx: int) -> None:
        """Freeze or thaw, by the number of the step alone, so that a resumed run does the same."""
        super().on_train_batch_start(batch, batch_idx)
        if self._freeze_steps:
            self._body.hold(batch.step < self._freeze_steps, keep_statistics=self.settings.keep_statistics)

    @override
    def on_train_end(self) -> None:
        """Leave nothing frozen behind."""
        if self._freeze_steps:
            self._body.hold(False)

    @override
    def losses(self, batch: ClassBatch) -> dict[str, Tensor]:
        """The objective's, and ``attention`` where there is a guide, which listens to its layer."""
        with self._tap or nullcontext():
            output = self.output(batch.images)
            if isinstance(output, list):
                raise TrainError("a classifier gives one set of logits, got a list; train it as a segmentation network")
            found = self.objective(output, batch.targets, batch.answers)
            if self._guide is None or self._tap is None:
                return found
            guided = self._guide(self._tap.output, batch.maps)
        return found | {"loss": found["loss"] + guided, "attention": guided.detach()}

    @override
    def built_optimiser(self) -> Optimizer:
        """The optimiser, which lets neither norms nor biases decay."""
        # Frozen weights have no gradient, which optimisers pass over; from the start all are theirs.
        self._body.hold(False)
        return build_optimiser(
            self.settings.optimiser,
            decayed_apart(self.model, self.settings.weight_decay),
            learning_rate=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
            momentum=self._momentum,
        )
