"""One tree of settings: flags of `kafila serve`, or environment variables KAFILA_*."""

from .settings import Role, Settings

__all__ = ["Role", "Settings"]
