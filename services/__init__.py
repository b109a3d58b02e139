"""What every service is made of, the signed link, and the two supporting services."""
