"""What is written on the link: pure."""
