"""Asking who interprets kinds beside the native functions: scripts, in processes of their own, and webhooks."""
