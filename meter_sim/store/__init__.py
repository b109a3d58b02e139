"""What is kept of devices, one by one and by the million."""
