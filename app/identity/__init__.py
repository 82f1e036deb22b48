"""Who calls: certificate authority, key pairs that all processes share, users from client certificates."""
