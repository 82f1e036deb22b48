"""What may change or refuse a write, after decoding and before validation and storage."""

from .chain import DEFAULT, Admission

__all__ = ["DEFAULT", "Admission"]
