"""The Enduring Change of Supplier Party as an organisation."""
