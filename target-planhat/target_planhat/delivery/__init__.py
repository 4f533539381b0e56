"""What leaves: items planned, matched, posted, and checked against Planhat."""
