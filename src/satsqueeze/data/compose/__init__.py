"""Composites: real clear ground, perhaps recoloured, under procedural clouds with exact labels."""

from satsqueeze.data.compose.composer import ComposeSettings, compose

__all__ = ["ComposeSettings", "compose"]
