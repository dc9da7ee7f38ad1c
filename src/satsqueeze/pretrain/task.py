"""The pre-training step, as Lightning runs it."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from satsqueeze.learn.augment.draws import step_seed
from satsqueeze.learn.task import TrainingTask
from satsqueeze.nets.model import SegmentationModel
from satsqueeze.pretrain.collapse import report_collapse
from satsqueeze.pretrain.contrast import Projection, banned_negatives, embedded, info_nce
from satsqueeze.pretrain.features import Backbone, sampled
from satsqueeze.pretrain.forecast import Forecast, forecast_loss
from satsqueeze.pretrain.key_queue import KeyQueue
from satsqueeze.pretrain.monitors import alignment, uniformity
from satsqueeze.pretrain.probe import Probe
from satsqueeze.pretrain.settings import PretrainSettings
from satsqueeze.pretrain.view_sampler import ViewBatch, ViewSampler
from satsqueeze.pretrain.weather import Weather

_MONITOR_STEP = 2**40  # a batch that training never draws
_MONITORED = 1024


class Embedder(nn.Module):
    """A model with its projections: what the slow copy copies.

    Args:
        model: shared, not copied.
        settings: see there.
    """

    def __init__(self, model: SegmentationModel, settings: PretrainSettings) -> None:
        super().__init__()
        self.model, self.backbone = model, Backbone(model, settings.scope)
        channels, contrast = self.backbone.channels, settings.contrast
        self.pixels = Projection(channels, contrast)
        self.images = Projection(channels, contrast) if contrast.image_weight else None
        forecasts = settings.forecast_weight and settings.views.series
        self.forecast = Forecast(channels, len(model.card.bands)) if forecasts else None

    def forward(self, batch: ViewBatch) -> tuple[Tensor, Tensor | None]:
        """Embeddings of the matched pixels (2 N, P, D), and of whole views (2 N, 1, D) where those are wanted."""
        return self.embed(self.found(batch), batch)

    def found(self, batch: ViewBatch) -> Tensor:
        """Features (2 N, F, P) of the matched pixels."""
        return sampled(self.backbone(batch.images, batch.days).float(), batch.points, size=batch.images.shape[-1])

    def embed(self, found: Tensor, batch: ViewBatch) -> tuple[Tensor, Tensor | None]:
        """Embeddings, as of `forward`, of features (2 N, F, P)."""
        pixels = embedded(self.pixels(found))
        if self.images is None:
            return pixels, None
        counts = batch.counts.repeat(2, 1)[:, None]
        means = (found * counts).sum(dim=2, keepdim=True) / counts.sum(dim=2, keepdim=True).clamp(min=1)
        return pixels, embedded(self.images(means))


class PretrainTask(TrainingTask[ViewBatch]):
    """Trains a model to embed matched pixels alike.

    Args:
        model: trained in place.
        settings: see there.
        sampler: draws the views, also those that are monitored.
        probe: what frozen features are asked; None without labels.
    """

    settings: PretrainSettings

    def __init__(
        self, model: SegmentationModel, settings: PretrainSettings, sampler: ViewSampler, probe: Probe | None
    ) -> None:
        super().__init__(model, settings)
        contrast = settings.contrast
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(step_seed(settings.seed, _MONITOR_STEP))
            self.embedder = Embedder(model, settings)
            self.queue = KeyQueue(contrast.queue, contrast.width) if contrast.queue else None
        self.slow = None if contrast.momentum is None else _still(copy.deepcopy(self.embedder))
        self._weather = Weather(settings.views, model.card.scaling, seed=settings.seed)
        self._probe = probe
        self._monitored = self._weather(sampler.batch(_MONITOR_STEP))
        self._uniformities: list[float] = []

    @property
    @override
    def trained(self) -> nn.Module:
        """The model and its projections."""
        return self.embedder

    @override
    def augmented(self, batch: ViewBatch) -> ViewBatch:
        """The views after all that befalls them."""
        return self._weather(batch)

    @override
    def losses(self, batch: ViewBatch) -> dict[str, Tensor]:
        """Of the contrast and the forecast.

        Raises:
            TrainError: no pair is left.
        """
        if batch.days is None:
            batch = batch._replace(images=self.laid_out(batch.images))
        found = self.embedder.found(batch)
        pixels, whole = self.embedder.embed(found, batch)
        keys, whole_keys = self._keys(batch, pixels, whole)
        # Similarities over a small temperature are too large for half precision.
        with torch.autocast(self.device.type, enabled=False):
            # Comparing all pixels with each other takes long: not for a weight of 0.
            parts = {"dense": self._dense(batch, pixels, keys)} if self.settings.contrast.weight else {}
            if whole is not None and whole_keys is not None:
                parts["image"] = self._image(batch, whole, whole_keys)
            if self.embedder.forecast is not None:
                parts["forecast"] = forecast_loss(self.embedder.forecast, self.embedder.model, found, batch)
            none = torch.zeros(())
            total = self.settings.contrast.weight * parts.get("dense", none)
            total = total + self.settings.contrast.image_weight * parts.get("image", none)
            total = total + self.settings.forecast_weight * parts.get("forecast", none)
        return {"loss": total} if parts.keys() == {"dense"} else {"loss": total, **parts}

    @override
    def on_train_batch_end(self, outputs: object, batch: ViewBatch, batch_idx: int) -> None:
        """Let the slow copy follow."""
        if self.slow is None:
            return
        share = 1 - float(self.settings.contrast.momentum or 0.0)
        with torch.no_grad():
            for slow, fast in zip(self.slow.parameters(), self.embedder.parameters(), strict=True):
                slow.lerp_(fast, share)
            for kept, seen in zip(self.slow.buffers(), self.embedder.buffers(), strict=True):
                kept.copy_(seen)

    @override
    def observed(self) -> dict[str, float | None]:
        """Alignment and uniformity, where pixels or images are compared, on views of their own; and what k-NN and a
        linear probe make of frozen features.

        Raises:
            CollapseError: all pixels are embedded alike, and the run is to stop.
        """  # noqa: D205
        was_training = self.training
        self.eval()
        with torch.inference_mode(), torch.autocast(self.device.type, enabled=False):
            batch = self._monitored.to(self.device)
            first, second = self._compared(batch)
            found: dict[str, float | None] = {}
            if len(first) > 1 and self.settings.contrast.counts:
                found = {"alignment": alignment(first, second), "uniformity": uniformity(first)}
            if self._probe is not None:
                found |= self._probe(self.embedder.backbone)
        self.train(was_training)
        if found.get("uniformity") is not None:
            self._uniformities.append(float(found["uniformity"] or 0.0))
            report_collapse(
                self._uniformities, self.settings, pairs=int(batch.counts.sum()), contrast=self._contrast_within()
            )
        return found

    def _compared(self, batch: ViewBatch) -> tuple[Tensor, Tensor]:
        """Embeddings (M, D) of both views of what training compares: matched pixels, or else whole views."""
        pixels, whole = self.embedder(batch)
        by_image = whole is not None and not self.settings.contrast.weight
        views, counted = (whole[:, 0], batch.counts.any(dim=1)) if by_image else (pixels, batch.counts)
        first, second = (side[counted][:_MONITORED].cpu() for side in views.chunk(2))
        return first, second

    @override
    def snapshot(self) -> dict[str, Any]:
        """Everything that later steps depend on."""
        return super().snapshot() | {
            "embedder": self.embedder.state_dict(),
            "slow": None if self.slow is None else self.slow.state_dict(),
            "queue": None if self.queue is None else self.queue.state_dict(),
            "uniformities": self._uniformities,
        }

    @override
    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take up a :meth:`snapshot` before training starts."""
        super().restore(snapshot)
        self.embedder.load_state_dict(snapshot["embedder"])
        if self.slow is not None:
            self.slow.load_state_dict(snapshot["slow"])
        if self.queue is not None:
            self.queue.load_state_dict(snapshot["queue"])
        self._uniformities = list(snapshot["uniformities"])

    def _keys(self, batch: ViewBatch, pixels: Tensor, whole: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What embeddings are compared with: themselves, or those of the slow copy."""
        if self.slow is None:
            return pixels, whole
        with torch.no_grad():
            return cast("tuple[Tensor, Tensor | None]", self.slow(batch))

    def _dense(self, batch: ViewBatch, pixels: Tensor, keys: Tensor) -> Tensor:
        contrast, counts = self.settings.contrast, batch.counts
        first, second = (side[counts] for side in pixels.chunk(2))
        first_keys, second_keys = (side[counts] for side in keys.chunk(2))
        slots = torch.arange(len(counts), device=counts.device)[:, None].expand_as(counts)[counts]
        ground, partners = batch.ground[counts], batch.partners[counts]
        places = batch.places[slots]
        banned = banned_negatives(places, slots, ground, partners, contrast)
        queue = None if self.queue is None else self.queue.negatives(places)
        loss = sum(
            info_nce(asked, known, temperature=contrast.temperature, banned=barred, queue=queue) / 2
            for asked, known, barred in ((first, second_keys, banned), (second, first_keys, banned.T))
        )
        if self.queue is not None and self.training:
            self.queue.push(torch.cat([first_keys, second_keys]), places.repeat(2))
        return torch.as_tensor(loss)

    def _image(self, batch: ViewBatch, whole: Tensor, keys: Tensor) -> Tensor:
        there = batch.counts.any(dim=1)
        banned = batch.places[there, None] == batch.places[None, there]
        (first, second), (first_keys, second_keys) = (
            (side[there, 0] for side in views.chunk(2)) for views in (whole, keys)
        )
        temperature = self.settings.contrast.temperature
        loss = sum(
            info_nce(asked, known, temperature=temperature, banned=banned) / 2
            for asked, known in ((first, second_keys), (second, first_keys))
        )
        return torch.as_tensor(loss)

    def _contrast_within(self) -> float:
        """Mean standard deviation within an image of what is monitored, in that of the data set."""
        std = torch.tensor(self.model.card.scaling.std)[:, None, None]
        return float((self._monitored.images.cpu() / std).flatten(-2).std(dim=-1).mean())


def _still(module: Embedder) -> Embedder:
    for parameter in module.parameters():
        parameter.requires_grad = False
    return module
