"""The search for the factors of compound scaling."""
