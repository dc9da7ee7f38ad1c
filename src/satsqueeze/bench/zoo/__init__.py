"""Sweeps over the zoo under one budget."""
