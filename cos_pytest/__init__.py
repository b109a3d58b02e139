"""A pytest plugin: a whole stack of systems as fixtures for other people's tests."""
