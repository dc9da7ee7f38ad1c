"""A network that takes reflectance: what is trained, saved, exported and flown."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from satsqueeze.core.errors import BandError, RunError, SettingsError
from satsqueeze.core.files import read_json, replacing, sha256, write_json
from satsqueeze.nets.card import FAMILIES, SERIES_FAMILY, ModelCard
from satsqueeze.nets.input_check import check_input

__all__ = ["ModelCard", "SegmentationModel", "build_model", "load_model", "model_files", "save_model"]

FORMAT_VERSION = 1
CARD_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"
_SMALLEST_STD = 1e-8


def model_files(folder: str) -> tuple[str, str]:
    """Names of what :func:`save_model` leaves in a folder."""
    return f"{folder}/{CARD_FILE}", f"{folder}/{WEIGHTS_FILE}"


class SegmentationModel(nn.Module):
    """Normalisation and network in one.

    Args:
        card: what to build. Weights are drawn from torch's global generator; see `build_model` for a seeded start.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.card = card
        self.net = FAMILIES[card.family].build(card.config)
        # Not in the state dict: the card is the only record of the scaling.
        self.register_buffer("mean", _per_band(card.scaling.mean), persistent=False)
        self.register_buffer("std", _per_band(card.scaling.std), persistent=False)

    @property
    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this, in pixels."""
        return self.card.config.size_multiple

    @property
    def window_invariant(self) -> bool:
        """Whether a pixel's logits depend on its surroundings only, not on what else is in the window.

        Instance norms and per-image normalisation look at the whole window, so that tiles of a scene disagree. A
        classifier decides on the whole image.
        """
        if self.card.task != "segmentation":
            return False
        instance_norms = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
        return self.card.normalisation == "dataset" and not any(isinstance(m, instance_norms) for m in self.modules())

    def normalise(self, reflectance: Tensor) -> Tensor:
        """Reflectance (N, C, H, W), 0 where invalid, to what the network takes; see `ModelCard.normalisation`."""
        if self.card.normalisation == "dataset":
            clipped = torch.clamp(reflectance, self.card.scaling.low, self.card.scaling.high)
            return (clipped - self.mean) / self.std
        shown = (reflectance != 0).any(dim=1, keepdim=True)
        seen = shown.to(reflectance.dtype)
        count = seen.sum(dim=(2, 3), keepdim=True).clamp(min=1)
        mean = reflectance.sum(dim=(2, 3), keepdim=True) / count
        centred = (reflectance - mean) * seen
        std = (centred.square().sum(dim=(2, 3), keepdim=True) / count).sqrt()
        # The mean of equal numbers is rounded, otherwise by every engine: what is left of them is nothing but that.
        highest = reflectance.masked_fill(~shown, -torch.inf).amax(dim=(2, 3), keepdim=True)
        lowest = reflectance.masked_fill(~shown, torch.inf).amin(dim=(2, 3), keepdim=True)
        return torch.where(highest > lowest, centred / std.clamp(min=_SMALLEST_STD), 0.0)

    def forward(self, reflectance: Tensor, days: Tensor | None = None) -> Tensor | list[Tensor]:
        """Segment or classify images, or segment series of them.

        Args:
            reflectance: float (N, C, H, W), bands as in the card, 0 where invalid; H and W multiples of
                `size_multiple`. With days, (N, T, C, H, W): pixels that are 0 in all bands do not count at that date,
                and a date of nothing else is as if it were not there.
            days: float (N, T), day of the year of each date, counted from 1.

        Returns:
            Logits (N, K, H, W), or in training with deep supervision a list of them, the finest first; of a classifier
            (N, K).

        Raises:
            BandError: C is not the number of bands.
            GridError: H or W is not a multiple of `size_multiple`, or days do not fit.
            SettingsError: days for a network that reads one date.
        """
        if days is not None:
            return self._over_dates(reflectance, days)
        if self.card.task != "segmentation":
            check_input(reflectance, in_channels=self.card.config.in_channels, multiple=1)
        logits: Tensor | list[Tensor] = self.net(self.normalise(reflectance))
        return logits

    def _over_dates(self, reflectance: Tensor, days: Tensor) -> Tensor | list[Tensor]:
        if self.card.family != SERIES_FAMILY:
            raise SettingsError(
                f"{self.card.name} reads one date; build it as a network over dates, or leave the days out"
            )
        seen = (reflectance != 0).any(dim=2)
        normalised = self.normalise(reflectance.flatten(0, 1)).reshape(reflectance.shape)
        logits: Tensor | list[Tensor] = self.net(normalised, days, seen)
        return logits


def build_model(card: ModelCard, seed: int) -> SegmentationModel:
    """A model with weights drawn from `seed`; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SegmentationModel(card)


def save_model(model: SegmentationModel, folder: Path | str) -> None:
    """Write ``weights.safetensors``, then ``model.json``, which holds the card and the weights' hash.

    Raises:
        RunError: the disk is full, or the folder cannot be written.
    """
    weights, card = Path(folder) / WEIGHTS_FILE, Path(folder) / CARD_FILE
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with replacing(weights) as temporary:
        save_file(state, temporary)
    write_json(
        card, {"format_version": FORMAT_VERSION, "card": model.card.to_dict(), "weights_sha256": sha256(weights)}
    )


def load_model(folder: Path | str) -> SegmentationModel:
    """Read what `save_model` wrote, in evaluation mode on the CPU.

    Raises:
        RunError: a file is absent, of another version, damaged, or the weights are not those of the card.
    """
    path = Path(folder) / CARD_FILE
    card, digest = _read_card(path)
    weights = Path(folder) / WEIGHTS_FILE
    if not weights.is_file():
        raise RunError(f"{weights} does not exist, though {path} names it; train or fetch the model again")
    if sha256(weights) != digest:
        raise RunError(f"{weights} is not the file that {path} was written with; train or fetch the model again")
    try:
        state = load_file(weights)
    except SafetensorError as error:
        raise RunError(f"{weights} is not readable ({error}); train or fetch the model again") from error
    model = build_model(card, seed=0)
    _check_state(model, state, weights)
    model.load_state_dict(state)
    return model.eval()


def _read_card(path: Path) -> tuple[ModelCard, str]:
    record = read_json(path)
    version = record.get("format_version") if isinstance(record, dict) else None
    if version != FORMAT_VERSION:
        raise RunError(
            f"{path} has format {version}, this satsqueeze reads {FORMAT_VERSION}; use the version that wrote it"
        )
    try:
        return ModelCard.from_dict(record["card"]), str(record["weights_sha256"])
    except (KeyError, SettingsError, BandError) as error:
        raise RunError(f"{path} does not describe a model: {error}. Train or fetch the model again") from error


def _check_state(model: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if differing:
        first = differing[0]
        raise RunError(
            f"{path} does not fit the model card beside it: {len(differing)} tensors differ, the first being "
            f"{first}: expected {expected.get(first, 'none')}, got {found.get(first, 'none')}. "
            "The two files come from different models; train or fetch the model again"
        )


def _per_band(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None, None]
