"""Training: the recipe, the one path by which networks are fitted, and the one path by which they are scored."""
