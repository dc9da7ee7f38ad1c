"""Starting a network from one that was trained on other bands or classes."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from satsqueeze.core.errors import BandError, SettingsError
from satsqueeze.core.scaling import Scaling
from satsqueeze.nets.band_match import TOLERANCE_NM, BandStart, match_bands, mixing
from satsqueeze.nets.card import SERIES_FAMILY, ModelCard
from satsqueeze.nets.edges import Edges, edges_of
from satsqueeze.nets.model import SegmentationModel
from satsqueeze.nets.source import Source
from satsqueeze.nets.transfer_report import TensorStart, TransferReport

__all__ = ["TOLERANCE_NM", "TransferReport", "start_from_run", "transfer"]

_MAY_DIFFER = frozenset({"in_channels", "classes", "size", "dropout", "deep_supervision"})
"""Fields of a config that do not make another architecture."""
_ENCODERS = {("zoo", "encoder-unet"): ("net.body.", "net.")}
"""From classifiers to segmentation networks on their stages: beginnings of the names of the same tensors."""
_EXTENDED = {("unet", SERIES_FAMILY)}
"""From networks of one date to those over dates, which have the same tensors and more."""


def start_from_run(
    folder: Path | str, model: SegmentationModel, *, tolerance_nm: float = TOLERANCE_NM
) -> TransferReport:
    """Take over the weights of the model of a run or flight package; see :func:`transfer`.

    Args:
        folder: what a training wrote, a run folder that holds it, or a flight package.
        model: freshly drawn; changed in place.
        tolerance_nm: largest difference of centre wavelengths in nanometres.

    Raises:
        RunError, PackageError: there is no model, or it is damaged.
        SettingsError: the model has another architecture or normalisation.
        BandError: no band has a counterpart.
    """
    source = Source.of(folder)
    trained, unmeasured = source.load()
    return transfer(trained, model, tolerance_nm=tolerance_nm, origin=source.digest, unmeasured=unmeasured)


def transfer(
    source: SegmentationModel,
    model: SegmentationModel,
    *,
    tolerance_nm: float = TOLERANCE_NM,
    origin: str = "",
    unmeasured: AbstractSet[str] = frozenset(),
) -> TransferReport:
    """Take over what fits of a trained model.

    Bands are matched by name, else with those whose centre wavelength is within the tolerance, their mean where there
    are several. Where each is taken once, the first layer's response to reflectance stays what it was, though the
    models normalise differently: the change of spread goes into the weights, that of the mean into the bias or the
    batch norm behind. A band that several new ones take counts in full for each, so the response grows. Padded zeros
    mean the average reflectance of the new data, though, so that a response at the very border follows its mean. Bands
    and classes without a counterpart keep the weights that ``model`` was drawn with; all other tensors are taken where
    their names and shapes agree.

    Args:
        source: stays as it is.
        model: freshly drawn; changed in place.
        tolerance_nm: largest difference of centre wavelengths in nanometres.
        origin: what the report calls the source, such as a hash of its weights; by default its name.
        unmeasured: norms of the source without statistics of their own; the report tells which were taken over.

    Raises:
        SettingsError: the source has another architecture or normalisation; the message names what differs.
        BandError: no band has a counterpart.
    """
    old_prefix, prefix = _refuse_other_networks(source.card, model.card)
    bands = match_bands(source.card.bands, model.card.bands, tolerance_nm=tolerance_nm)
    _refuse_no_band(bands, source.card, tolerance_nm)
    old = {_renamed(name, old_prefix, prefix): tensor for name, tensor in source.state_dict().items()}
    work = _Transfer(source.card, model, old, bands)
    work.take_body()
    work.take_classes()
    work.take_bands()
    model.load_state_dict(work.state)
    report = work.report(origin or source.card.name, tolerance_nm)
    norms = (_renamed(name, old_prefix, prefix) for name in unmeasured)
    taken = frozenset(name for name in norms if report.tensors.get(f"{name}.running_var") == "matched")
    return replace(report, unmeasured=taken)


class _Transfer:
    """The state of a model while it is filled."""

    def __init__(
        self, before: ModelCard, model: SegmentationModel, old: dict[str, Tensor], bands: tuple[BandStart, ...]
    ) -> None:
        self.before, self.after, self.old, self.bands = before, model.card, old, bands
        self.edges: Edges = edges_of(model.card)
        self.state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        self.starts: dict[str, TensorStart] = dict.fromkeys(self.state, "fresh")
        self.common = tuple(name for name in model.card.classes if name in before.classes)
        self.folded = True

    def take_body(self) -> None:
        """Tensors that depend on neither bands nor classes."""
        for name in self.state.keys() & self.old.keys() - self.edges.bands.keys() - self.edges.classes.keys():
            if self.state[name].shape == self.old[name].shape:
                self.state[name].copy_(self.old[name])
                self.starts[name] = "matched"

    def take_classes(self) -> None:
        """Weights of classes that both have."""
        for name, axis in self.edges.classes.items():
            if not self.common or not self._fits(name, axis):
                continue
            ours = [self.after.classes.index(common) for common in self.common]
            theirs = [self.before.classes.index(common) for common in self.common]
            rows = self.old[name].index_select(axis, torch.tensor(theirs))
            self.state[name].index_copy_(axis, torch.tensor(ours), rows)
            self.starts[name] = "matched" if len(self.common) == len(self.after.classes) else "mixed"

    def take_bands(self) -> None:
        """Weights of the first layers, with the change of scaling folded in."""
        shares = mixing(self.bands, self.before.bands)
        old_mean, old_std, mean, std = self._scalings()
        taken = shares.sum(dim=1) > 0
        for name, axis in self.edges.bands.items():
            new = self.state[name]
            # Other layers than dense convolutions have no weight for a band alone.
            if axis != 1 or new.ndim != 4 or not self._fits(name, axis):
                continue
            weights = self.old[name].double()
            spread = shares * std[:, None] / old_std
            moved = shares * (mean[:, None] - old_mean) / old_std
            new[:, taken] = torch.einsum("oshw,bs->obhw", weights, spread)[:, taken].to(new.dtype)
            self.folded &= self._fold(name.rpartition(".")[0], torch.einsum("oshw,bs->o", weights, moved))
            self.starts[name] = "matched" if bool(taken.all()) else "mixed"

    def _fits(self, name: str, axis: int) -> bool:
        """Whether the source has the tensor in the same shape but for one axis."""
        if name not in self.old:
            return False
        ours, theirs = list(self.state[name].shape), list(self.old[name].shape)
        return ours[:axis] + ours[axis + 1 :] == theirs[:axis] + theirs[axis + 1 :]

    def report(self, origin: str, tolerance_nm: float) -> TransferReport:
        """What was done."""
        kept = self.common if any(self.starts[name] != "fresh" for name in self.edges.classes) else ()
        layers = {name.rpartition(".")[0] for name in self.edges.bands}
        first = layers | {self.edges.norms[layer] for layer in layers & self.edges.norms.keys()}
        heads = {name.rpartition(".")[0] for name in self.edges.classes}
        return TransferReport(
            source=origin,
            tolerance_nm=tolerance_nm,
            bands=self.bands,
            classes=kept,
            fresh_classes=tuple(name for name in self.after.classes if name not in kept),
            tensors=self.starts,
            first=frozenset(name for name in self.state if name.rpartition(".")[0] in first),
            head=frozenset(name for name in self.state if name.rpartition(".")[0] in heads),
            folded=self.folded,
        )

    def _scalings(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mean and spread of the source's bands and of ours, float64."""
        if self.after.normalisation == "image":
            # Each image is its own measure, and records of the data set are not used.
            theirs, ours = (torch.ones(len(card.bands), dtype=torch.float64) for card in (self.before, self.after))
            return 0 * theirs, theirs, 0 * ours, ours
        return *_moments(self.before.scaling), *_moments(self.after.scaling)

    def _fold(self, layer: str, shift: Tensor) -> bool:
        """Add a constant response to what follows a layer's products; False where nothing can take it."""
        bias, norm = f"{layer}.bias", f"{self.edges.norms.get(layer)}.running_mean"
        if bias in self.state:
            self.state[bias] += shift.to(self.state[bias].dtype)
        elif norm in self.state:
            self.state[norm] -= shift.to(self.state[norm].dtype)
        return bias in self.state or norm in self.state or not bool(shift.any())


def _moments(scaling: Scaling) -> tuple[Tensor, Tensor]:
    return torch.tensor(scaling.mean, dtype=torch.float64), torch.tensor(scaling.std, dtype=torch.float64)


def _renamed(name: str, old: str, new: str) -> str:
    return new + name.removeprefix(old) if old and name.startswith(old) else name


def _refuse_no_band(bands: tuple[BandStart, ...], source: ModelCard, tolerance_nm: float) -> None:
    if all(band.how == "fresh" for band in bands):
        wanted = ", ".join(band.name for band in bands)
        raise BandError(
            f"the source has the bands {', '.join(source.bands)}, the network {wanted}: "
            f"none agrees by name, nor by centre wavelength within {tolerance_nm:g} nm. Name the bands by their common "
            "names, take another source, or start without one"
        )


def _refuse_other_networks(source: ModelCard, card: ModelCard) -> tuple[str, str]:
    """How the source's tensors begin, and how they begin here."""
    prefixes = _ENCODERS.get((source.family, card.family), ("", ""))
    theirs, ours = source.config.to_dict(), card.config.to_dict()
    extended = (source.family, card.family) in _EXTENDED
    compared = theirs.keys() if extended else theirs.keys() | ours.keys()
    names = ["model"] if any(prefixes) else sorted(compared - _MAY_DIFFER)
    differing = [
        f"{name} {theirs.get(name)!r} instead of {ours.get(name)!r}"
        for name in names
        if theirs.get(name) != ours.get(name)
    ]
    if source.family != card.family and not any(prefixes) and not extended:
        differing = [f"family {source.family!r} instead of {card.family!r}"]
    if source.normalisation != card.normalisation:
        differing.append(f"normalisation {source.normalisation!r} instead of {card.normalisation!r}")
    if differing:
        raise SettingsError(
            f"{source.name} cannot start {card.name}: it has {'; '.join(differing)}. Build the network as the source, "
            "or take another source"
        )
    return prefixes
