"""Schema changes as transactional edits of descriptors."""
