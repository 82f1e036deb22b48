"""Pure functions of propagation: detector, scheduler, override, work, failover, interpreter, and explain on top of them."""
