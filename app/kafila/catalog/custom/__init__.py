"""Kinds of CustomResourceDefinitions: made at run time from their stored objects."""
