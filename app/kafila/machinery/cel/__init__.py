"""The front of Common Expression Language: whether an expression can be read, and whether its names are known.

What is refused gets the words of cel-go. Types are not checked, and nothing is evaluated.
"""
