"""The trial: a back-fill through Dagster whose workers are killed, measured and compared."""
