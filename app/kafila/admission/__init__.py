"""What may change a write before it is validated, and refuse it before it is stored.

Rules see the decoded object of the served version; they write nothing and wait for nothing, so that a write which is
computed again is admitted again. The chain is fixed in code; ``webhooks`` has what configurations of users add to it.
"""

from .chain import DEFAULT, Admission

__all__ = ["DEFAULT", "Admission"]
