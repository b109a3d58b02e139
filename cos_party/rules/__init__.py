"""The rules of a CoS Party: each check, and what reads evidence for it. Pure: no I/O, no clock."""
