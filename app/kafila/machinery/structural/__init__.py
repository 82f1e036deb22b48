"""Structural schemas: what a CustomResourceDefinition says about its objects, compiled into functions.

A schema is apiextensions.k8s.io/v1 JSONSchemaProps as plain JSON. Each concern compiles it once: what is dropped (``pruning``), filled
in (``defaulting``), refused (``validation``, ``lists``, ``embedded``), merged by server-side apply (``shape``). ``rules`` says whether a
schema is acceptable at all.
"""
