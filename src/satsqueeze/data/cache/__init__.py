"""The packed cache, and what is measured of the images in it."""
