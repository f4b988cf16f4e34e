"""The use cases: reconcile, send, write through, take in, within the shared budget."""
