"""Self-supervised pre-training: dense contrast of two views of one place, and starting networks from it."""
