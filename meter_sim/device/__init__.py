"""What a device is and does with octets: its checks, cells and counters. Pure: no I/O, no clock."""
