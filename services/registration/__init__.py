"""The registration service: who supplies which MPxN, and when."""
