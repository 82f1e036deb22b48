"""Warnings (header ``Warning: 299``) on objects that are accepted but will not do what their author expects."""

from . import kinds
from .service import service_warnings

__all__ = ["kinds", "service_warnings"]
