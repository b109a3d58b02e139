"""A device's checks, and what they read. The order in which they are made: meter_sim.checks."""
