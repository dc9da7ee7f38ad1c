"""How a scene is cut so that it fits into a given memory."""
