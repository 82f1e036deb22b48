"""Logs and metrics of the process, its event loop and its end. Any package may import it; it imports none.

Labels of metrics come from the program, never from whoever calls: their number is bounded.
"""
