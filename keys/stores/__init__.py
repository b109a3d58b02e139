"""Where private keys are kept, and what may be done with them."""
