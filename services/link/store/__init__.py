"""What an end of the link keeps."""
