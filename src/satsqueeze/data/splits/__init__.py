"""Splits that never put one scene on two sides, and shares of labels."""
