"""Who sends a request: a chain of authenticators, as kube-apiserver's, and who it may act as instead (impersonation).

Each way to be known has a module. What can be said from memory is said at once; only what has to ask somebody else (an OpenID
Connect issuer, a webhook) waits. Nothing here decides what a caller may do.
"""
