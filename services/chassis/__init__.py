"""The shell every party runs in: settings, named checks, problems, store, audit, lab port."""
