"""What follows from a template, step by step. Each step is a function of what is known, with facts that it asks for by name.

`state.py` says what passes from one to the next, `facts.py` what they may ask; `pipeline.py` has them in order.
"""
