"""What a CoS Party remembers, and its own copies of what others publish."""
