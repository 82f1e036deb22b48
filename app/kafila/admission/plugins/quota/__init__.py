"""ResourceQuota: how much of each thing a namespace may have. Pure: what an object uses, what a quota bounds, what it refuses."""
