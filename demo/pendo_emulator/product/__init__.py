"""The made-up product: its people, definitions, events, and the rows that count them."""
