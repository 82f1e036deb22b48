"""What ``kafila sql`` reads: objects, as rows of tables that a worker keeps up to date behind all writes (docs/adr/0020)."""
