"""Composites: real clear ground, perhaps recoloured as a confusing surface, under procedural clouds with exact labels."""

from satsqueeze.data.compose.composer import ComposeSettings, compose

__all__ = ["ComposeSettings", "compose"]
