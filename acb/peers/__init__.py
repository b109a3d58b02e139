"""Whom the broker speaks to: CoS Parties, the SMKI repository, devices over the WAN, users."""
