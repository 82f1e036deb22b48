"""From a resource template to its binding and Works, and from their statuses back to it."""
