"""Logs and metrics of the process. Any package may import it; it imports none.

Labels of metrics come from the program, never from whoever calls: their number is bounded.
"""
