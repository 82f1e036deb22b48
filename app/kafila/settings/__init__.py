"""Settings of the program: one tree, read once at the start and never changed.

Other rooms are handed the values they need and import nothing from here.
"""
