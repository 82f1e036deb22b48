"""The Kubernetes that tests talk to beside the newest."""

from kafila.catalog.version import MINOR_VERSION

_NEWEST = int(MINOR_VERSION.partition(".")[2])
OLDER_MINORS = tuple(f"1.{_NEWEST - back}" for back in (1, 2))  # tests/clusters/build.sh names their patch releases
