"""The webhook receiver: takes HubSpot's events, stores what they are about, answers, and drains at once."""
