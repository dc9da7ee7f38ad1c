"""From the files of a scene, as people keep them, to reflectance."""
