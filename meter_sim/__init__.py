"""The meters: trust anchor cells, counters and their own checks. Trusts nobody it cannot verify."""
