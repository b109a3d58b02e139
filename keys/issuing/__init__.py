"""The simulated authorities: the ceremony, and what they issue after it."""
