"""What the user sets: settings, own aggregations, stream maps, and what a run shares of them."""
