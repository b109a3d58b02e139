"""One message to one device, step by step, and what falls due later."""
