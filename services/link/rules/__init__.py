"""What is asked of a signed message, check by check. Pure: what a store knows is in evidence."""
