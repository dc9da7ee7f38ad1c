"""How a scene passes through a graph: reading, computing and writing at once."""
