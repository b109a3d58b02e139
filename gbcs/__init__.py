"""What a meter reads and writes: bytes in, values out.

Framing, grouping header, digital signature, MAC and the payloads of the security credentials use
cases. No input or output, no clock, no settings.
"""
