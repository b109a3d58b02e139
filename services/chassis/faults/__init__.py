"""Faults and quirks on demand: what may be ordered, and the code that carries it out."""
