"""The two ways of looking for what was not told: the poll and the sweep."""
