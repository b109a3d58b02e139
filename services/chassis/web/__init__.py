"""Two listeners in one process: routes, edge, problem documents, and the one HTTP client."""
