"""One module a service that the broker offers: its rules, its checks, what it answers or commands."""
