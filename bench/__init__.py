"""What the work costs, as multiples of the raw cryptography it needs, measured in the same run."""
