"""Singer target for Planhat: Pendo usage as user activities and custom metrics."""
