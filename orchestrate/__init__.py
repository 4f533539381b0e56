"""tap-pendo and its targets as bounded pieces of work on Dagster."""
