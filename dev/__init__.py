"""A development system on one machine: its processes, and a Postgres that comes along. Not part of the image."""
