"""Values that every room shares: bands, rasters, radiometry, metrics, run folders, packages. Needs numpy only."""
