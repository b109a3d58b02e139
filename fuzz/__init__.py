"""Fuzzing of what stands open to others: `make fuzz`. Never shipped, never imported by a system."""
