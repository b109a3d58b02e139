"""The lab routes of a CoS Party: for operators and testers, never on the interface."""
