"""Certificates of agents (Karmada's pkg/controllers/certificate)."""
