"""search.karmada.io: fills the cache of members' objects that ResourceRegistries select."""
