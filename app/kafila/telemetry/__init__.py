"""Logs and metrics of the process. Any room may import it; it imports none.

Labels of metrics come from the program, never from whoever calls: their number is bounded.
"""
