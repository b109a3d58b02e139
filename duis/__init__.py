"""What a supplier writes: requests and responses, our schema, XML signatures. Pure."""
