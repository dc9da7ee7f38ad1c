"""What a flight writes: masks as COG, pictures and STAC items."""
