"""API Priority and Fairness: which requests are served now, which wait, and which are told to come again (KEP-1040).

What decides (``queueset``, ``concurrency``, ``rules``, ``configuration``) is plain data with the time handed in; ``fairness`` is
the one object that requests meet.
"""
