"""The Transitional Change of Supplier Party as an organisation."""
