"""Networks that give one decision per image, by their name in the zoo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from satsqueeze.core.errors import SettingsError

FAMILY = "zoo"


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """A network of the zoo, for images (N, C, size, size) and logits (N, K).

    Raises:
        SettingsError: no channels, no classes, no size, or a drop-out outside [0, 1).
    """

    model: str
    """A name of the zoo; an unknown one is refused when the network is built."""
    in_channels: int
    """Bands of an image."""
    classes: int
    """Logits per image."""
    size: int = 64
    """Height and width of the images in pixels; networks whose weights do not depend on it take others, too."""
    dropout: float = 0.0
    """Share of the features before the last layer that training drops, where the network has such a layer."""

    def __post_init__(self) -> None:
        if not self.model or min(self.in_channels, self.classes, self.size) < 1:
            raise SettingsError(
                "a classifier needs the name of a network, and channels, classes and a size of at least 1; got "
                f"{self.model!r}, {self.in_channels}, {self.classes} and {self.size}"
            )
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"the drop-out of a classifier must lie in [0, 1), got {self.dropout}")

    @property
    def size_multiple(self) -> int:
        """Height and width must be multiples of this, in pixels: any size fits as far as this record knows."""
        return 1

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> ClassifierConfig:
        """Read what `to_dict` wrote.

        Raises:
            SettingsError: unknown or missing keys, or values that cannot be.
        """
        try:
            return cls(**record)
        except TypeError as error:
            raise SettingsError(f"not a classifier config: {error}") from error
