"""Driving and reading a stack from outside: what commands, tests, bench and probe share."""
