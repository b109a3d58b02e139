"""The network between a party and a device: octets in, octets out, whole or in blocks."""
