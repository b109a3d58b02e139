"""The broker's rules: each check, and what reads evidence for it. Pure: no I/O, no clock."""
