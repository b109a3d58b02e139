"""One module a service that the broker offers: rules, checks, what it answers or commands."""
