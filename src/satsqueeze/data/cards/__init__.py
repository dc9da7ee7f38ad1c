"""Dataset cards: what data sets are and how their files are read."""
