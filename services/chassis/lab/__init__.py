"""The lab routes that every party has."""
