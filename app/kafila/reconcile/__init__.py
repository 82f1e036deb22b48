"""Controllers: level-triggered, idempotent, each a queue of keys and a function from stored objects to what must be done."""
