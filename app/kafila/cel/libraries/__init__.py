"""What expressions can call, a module per library."""
