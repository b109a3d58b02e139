"""The broker's own tables, and how they are read and written."""
