"""What watches a system from inside its process, and only where the bench has put it there."""
