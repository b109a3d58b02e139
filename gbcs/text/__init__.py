"""Messages as JSON objects that a person can read and edit, and back to octets."""
