"""``kafila agent``: what runs in a cluster in pull mode, in place of karmada-agent.

The controllers of one member are those that run in the control plane for clusters in push mode. What they read of the control
plane is mirrored here (:mod:`.mirror`), and what they write goes there (:mod:`.forwarding`).
"""
