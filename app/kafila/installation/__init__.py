"""kafila in a host cluster, without Helm: `kafila init` and `kafila deinit`.

* :mod:`.manifests` is pure: the objects, which are deploy/chart as Helm renders it (``manifests.json``, written by ``make chart``;
  docs/adr/0018), with what the user asks for in the place of :mod:`.placeholders`.
* :mod:`.install` and :mod:`.remove` talk to the host cluster; both may be repeated.
"""
