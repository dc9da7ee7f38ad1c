"""From files to patches: cards, readers, splits, the packed cache and its sampler, and generated scenes."""
