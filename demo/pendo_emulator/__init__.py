"""A stateful, strict emulator of the Pendo Engage API, for tests and demonstrations."""
