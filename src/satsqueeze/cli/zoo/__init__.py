"""``satsqueeze zoo``: classifiers, and comparisons of them."""
