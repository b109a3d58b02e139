"""The SMKI repository: certificates and revocation lists, read-only to other systems."""
