"""HTTP only: paths, negotiation, streams. What a verb means is the registry's business.

Objects go through one raw ASGI app (measured 5 to 25 times faster than framework routes, docs/adr/0001); FastAPI serves the routes
around it for health, metrics and documentation pages.
"""
