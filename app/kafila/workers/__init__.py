"""The process that runs controllers: one of all workers at a time holds the lease and works."""
