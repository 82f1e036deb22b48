"""PodSecurity: the Pod Security Standards, asked of each pod by the labels of its namespace (KEP-2579)."""
