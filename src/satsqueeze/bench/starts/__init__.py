"""What a start of training is worth with few labels."""
