"""Making devices: what is put into them, and the keys they are born with."""
