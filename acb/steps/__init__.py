"""The life of a request, step by step: I/O without rules."""
