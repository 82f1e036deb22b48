"""Members' metrics as Karmada's metrics-adapter has them: usage of pods and nodes, custom and external metrics, of all members as one.

``answers`` reads what members say, ``merging`` makes one of it, ``documents`` shows it (all pure); ``members`` asks them:
:class:`~kafila.metricsadapter.members.MemberMetrics`. Controllers ask the control plane's own API (``workers/own_api.py``), where an
APIService may have another server answer.
"""
