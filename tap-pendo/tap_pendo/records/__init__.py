"""What a Pendo object becomes: fields and types, row identity, columns that are inferred."""
