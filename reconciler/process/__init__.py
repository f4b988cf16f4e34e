"""What makes a process: settings, logs, parts put together, jobs, a server's edges."""
