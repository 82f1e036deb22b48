"""Who calls: certificate authority, key pairs that all processes share, users from client certificates, tokens.

Keys are made once, by whichever process is first, and live in the store under a resource that no API serves. Nothing here
decides what a caller may do.
"""
