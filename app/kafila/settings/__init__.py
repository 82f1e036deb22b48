"""Settings of the program: one tree, read once at the start and never changed, and Karmada's ``--feature-gates``.

Other rooms are handed the values they need and import nothing from here but the gates.
"""
