"""The remote side: HubSpot's contacts through the official client, and everything it may answer turned into ours."""
