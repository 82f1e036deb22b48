"""Member clusters: connections, the Works that go to each, the objects there, and what they report."""
