"""search.karmada.io: what members' objects are kept here, who may read them, and how what changed reaches watchers.

``reconcile/karmada/search`` fills the cache, ``store/search.py`` keeps it, ``api/searching.py`` answers from it.
"""
