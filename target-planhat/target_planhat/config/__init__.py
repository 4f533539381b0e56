"""What the user sets: settings, rules, and the Pendo streams that a rule can name."""
