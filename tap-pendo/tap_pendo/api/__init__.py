"""How Pendo is asked: requests, the only HTTP, answers as they arrive."""
