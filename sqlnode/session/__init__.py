"""One client connection's state machine over the engine."""
