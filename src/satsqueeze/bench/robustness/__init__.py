"""How packages fare when something is wrong with the images."""
