"""Batches out of a packed cache, each a pure function of the seed and the step."""
