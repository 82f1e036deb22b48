"""Karmada's controllers: from templates and policies to member clusters and back."""
