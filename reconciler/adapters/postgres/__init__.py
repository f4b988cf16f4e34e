"""The local side: customers, links, marks and the shared budget in Postgres."""
