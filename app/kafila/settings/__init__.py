"""Settings of the program: one tree, read once at the start and never changed.

Other packages are handed the values they need.
"""
