"""The signed link between systems that do not trust each other (RFC 9421, RFC 9530)."""
