"""Singer tap for Pendo: every Pendo object as a stream."""
