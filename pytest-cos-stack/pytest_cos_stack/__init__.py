"""A pytest plugin: a whole stack of systems as fixtures for other people's tests."""

from __future__ import annotations

from pytest_cos_stack.errors import CosError, RefusedError

__all__ = ["CosError", "RefusedError"]
