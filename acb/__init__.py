"""The Access Control Broker: the data company's side of a change of supplier."""
