"""Label conventions: uint8, 255 means ignore everywhere."""

from __future__ import annotations

IGNORE = 255
"""Label of pixels that count neither in the loss nor in a metric."""

CLOUD_CLASSES = ("clear", "thick cloud", "thin cloud", "shadow")
"""Classes 0..3 of a cloud mask, as in CloudSEN12."""

CLOUD_FOREGROUND = (1, 2)
"""Classes that count as cloud in the binary score."""
