"""Time as a thing that is handed in, and what wakes when it is due."""
