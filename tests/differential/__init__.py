"""The same requests to kube-apiserver and to kafila, and what differs in the answers. Run by ``make diff-kube``.

``servers`` starts both, ``scripts`` says what is asked, ``play`` asks it, ``normalise`` takes out what may differ (uids, times,
versions), ``compare`` finds what does differ, ``score`` adds it up.
"""
