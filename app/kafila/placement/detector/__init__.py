"""Which policy a resource template follows, and the binding that comes of it."""
