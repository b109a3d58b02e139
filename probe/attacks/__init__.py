"""The attacks, one module a family."""
