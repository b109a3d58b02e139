"""A bundle of what is provably known of one exchange: collected, and verified without the stack."""
