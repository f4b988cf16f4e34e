"""The REST API: creates, reads, updates and deletes customers on both sides."""
