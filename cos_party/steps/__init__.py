"""How a CoS Party signs for a change of supplier, step by step: I/O without rules."""
