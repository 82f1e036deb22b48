"""Bodies at rest: which are sealed, under which keys, and who keeps those (docs/encryption.md).

:class:`.encryption.Encryption` is what the store asks (:class:`kafila.store.sealing.Sealer`). A file decides
(:mod:`.configuration`), in Kubernetes' format; what is stored is ours (:mod:`.ciphers`): every provider says where a body
belongs, so that none can be moved to another object, and notices what was changed.
"""
