"""What any Change of Supplier Party must do: its own checks, building and signing the command."""
