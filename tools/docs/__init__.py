"""What the documents and the definitions for Meltano Hub are generated with."""
