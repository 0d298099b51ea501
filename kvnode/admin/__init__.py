"""Operators and the gateway: tenant administration over gRPC."""
