"""The webhook receiver: takes HubSpot's events, stores who they are about, answers, and drains at once."""
