"""Layer 0: plain vocabulary of the Kubernetes API: keys, versions, names, metadata, quantities, selectors, Status errors.

* No I/O and no state: the same arguments give the same answer, but for the clock and generated names.
* Imports nothing of this program; everything else may import it.
* Texts of errors are what clients match on: they are Kubernetes' own, to the letter.
"""
