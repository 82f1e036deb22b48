"""The decision about one binding: filter, score, select, assign replicas, and when to decide again."""
