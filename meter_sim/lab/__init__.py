"""The meters' lab routes: for operators and testers, never on the WAN."""
