"""What an operator asks for: an audit, a backfill, an erase."""
