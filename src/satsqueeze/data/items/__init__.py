"""The labelled images of a data set, by file, and how one is read."""
