"""What was taken over from another network, and what was not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from satsqueeze.nets.band_match import BandStart

TensorStart = Literal["matched", "mixed", "fresh"]
"""``mixed``: taken over for some of its bands or classes."""


@dataclass(frozen=True, kw_only=True)
class TransferReport:
    """Where every weight of a network comes from; names are those of its model's state dict."""

    source: str
    """What the weights were taken from: a name, or the hash of a file of weights."""
    tolerance_nm: float
    """Largest difference of centre wavelengths in nanometres."""
    bands: tuple[BandStart, ...]
    """Of the network, in order."""
    classes: tuple[str, ...]
    """Those whose weights were taken over."""
    fresh_classes: tuple[str, ...]
    """Those whose weights were drawn anew."""
    tensors: Mapping[str, TensorStart]
    """Every weight and statistic."""
    first: frozenset[str]
    """Tensors of the layers that read bands, and of the norms behind them."""
    head: frozenset[str]
    """Tensors of the layers that give classes."""
    folded: bool
    """Whether the change of the bands' means went into a bias or norm; else nothing follows the first layer to take
    it."""
    unmeasured: frozenset[str] = frozenset()
    """Norms, by their names in the model, that were taken over without statistics of their own."""

    @property
    def layers(self) -> dict[TensorStart, int]:
        """Number of layers by where they come from: a layer that is taken over in part is ``mixed``."""
        found: dict[str, set[TensorStart]] = {}
        for name, how in self.tensors.items():
            found.setdefault(name.rpartition(".")[0], set()).add(how)
        kinds: list[TensorStart] = [next(iter(hows)) if len(hows) == 1 else "mixed" for hows in found.values()]
        return {"matched": kinds.count("matched"), "mixed": kinds.count("mixed"), "fresh": kinds.count("fresh")}

    @property
    def held(self) -> frozenset[str]:
        """Tensors that a frozen body keeps: all that were taken over, but for the head, and the first layer with its
        norm where a band is fresh.
        """  # noqa: D205
        free = self.head | (self.first if any(band.how == "fresh" for band in self.bands) else frozenset())
        return frozenset(name for name, how in self.tensors.items() if how == "matched" and name not in free)

    def __str__(self) -> str:
        layers = ", ".join(f"{count} {how}" for how, count in self.layers.items())
        lost = "" if self.folded else "\nthe change of the bands' means could not be folded into the first layer"
        return (
            f"layers: {layers}\n"
            f"bands (within {self.tolerance_nm:g} nm): {', '.join(map(str, self.bands))}\n"
            f"classes: {len(self.classes)} matched, {len(self.fresh_classes)} fresh{lost}"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready summary."""
        return {
            "source": self.source,
            "tolerance_nm": self.tolerance_nm,
            "bands": {band.name: {"how": band.how, "sources": list(band.sources)} for band in self.bands},
            "classes": list(self.classes),
            "fresh_classes": list(self.fresh_classes),
            "layers": dict(self.layers),
            "folded": self.folded,
        }
