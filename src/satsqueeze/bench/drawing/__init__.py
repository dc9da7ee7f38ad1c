"""Figures and pictures: how they are made without a display, and how they are written."""
