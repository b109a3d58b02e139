"""Making what no honest party would make: messages, documents, answers, certificates."""
