"""What a message carries: one codec a use case."""
