"""What a service keeps: store, audit log, outbox and inbox, counters, traces."""
