"""The broker's lab routes: for operators and testers, never on the interface."""
