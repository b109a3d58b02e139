"""Attack code: a proxy between two systems that reads, changes, drops, replays and re-signs.

No honest room imports this one, and nothing here decides anything for a party.
"""
