"""What starting from another data set is worth with few labels."""
