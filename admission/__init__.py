"""Overload control as a library: no SQL, no gRPC, clocks as arguments."""
