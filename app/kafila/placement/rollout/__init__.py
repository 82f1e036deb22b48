"""Staged rollouts: which cluster has which revision of a template, and what has to be seen there before the next one gets it."""
