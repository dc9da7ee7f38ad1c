"""Cross-validation of a whole recipe, by scene."""
