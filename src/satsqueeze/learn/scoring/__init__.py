"""What models answer to whole images, and how well: one path for networks, ensembles and thresholds."""
