"""What the scheduler needs beside a binding and the clusters: estimators, assume cache, backoff, priority, records."""
