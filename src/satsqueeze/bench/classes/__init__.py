"""Networks that decide on whole images: scores, and comparisons of ways of teaching."""
