"""Who did what: rules of a policy, the events they ask for, and the ways these leave the process without holding a request up."""
