"""The kinds of stream, one module each way of reading."""
