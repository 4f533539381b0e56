"""A stateful, strict emulator of Planhat's APIs, REST and analytics, for tests and demos."""
