"""What may change or refuse a write, after decoding and before validation and storage."""

from .chain import admit, mutate

__all__ = ["admit", "mutate"]
