"""What the owner of an ONNX graph states about it, so that it can teach."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import pydantic
import yaml

from satsqueeze.core.errors import CardError
from satsqueeze.core.yaml_text import parse_yaml


class GraphContract(pydantic.BaseModel):
    """A YAML file beside the graph, with the same name; what graphs for any task have in common."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    name: str
    licence: str
    """Licence of the weights, for the record."""
    bands: tuple[str, ...]
    """Common names in channel order."""
    scale: float = 1.0
    """The graph sees (reflectance * scale - mean) / std."""
    mean: tuple[float, ...] = (0.0,)
    """One for each band, or one for all."""
    std: tuple[float, ...] = (1.0,)
    """Likewise."""
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    """Of the input."""
    output: Literal["probabilities", "logits"] = "probabilities"
    classes: tuple[str, ...]
    """Classes as the student's data names them."""
    class_map: tuple[int, ...]
    """For each output channel, the position in ``classes``; channels of one class are summed."""

    @pydantic.model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for name in ("mean", "std"):
            if len(getattr(self, name)) not in (1, len(self.bands)):
                raise ValueError(f"{name} needs 1 or {len(self.bands)} values, got {len(getattr(self, name))}")
        if not all(0 <= value < len(self.classes) for value in self.class_map) or not self.class_map:
            raise ValueError(f"class_map must name classes 0..{len(self.classes) - 1}, got {self.class_map}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be > 0, got {self.std}")
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a YAML contract.

        Raises:
            CardError: absent or malformed.
        """
        try:
            return cls.model_validate(parse_yaml(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, pydantic.ValidationError) as error:
            raise CardError(
                f"{path} is not the contract of an ONNX teacher: {error}. It states {', '.join(cls.model_fields)}"
            ) from error
