"""Members' metrics as Karmada's metrics-adapter has them: usage of pods and nodes, custom and external metrics, of all members as one.

``answers`` reads what members say, ``merging`` makes one of it (both pure); ``members`` asks them; ``source`` is what controllers
use: :class:`~kafila.metricsadapter.source.MetricsSource`.
"""
