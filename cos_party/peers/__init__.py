"""Whom a CoS Party asks, and the bodies that go over the link."""
