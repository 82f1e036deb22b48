"""Karmada's kinds: pydantic models say what the objects look like, everything served is compiled from them."""
