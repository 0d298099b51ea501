"""The front door: tenant routing, authentication, the pool of warm SQL processes, hand-over."""
