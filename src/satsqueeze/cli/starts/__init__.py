"""``satsqueeze bench init-...``: comparisons of what a training may start from."""
