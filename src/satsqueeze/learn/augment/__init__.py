"""Variation of batches while they train: what is drawn depends on the seed and the step alone."""
