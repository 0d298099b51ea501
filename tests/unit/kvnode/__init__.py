"""The KV node's modules, one by one."""
