"""Works: what is to be in a member cluster, what is written there, and the status on its way back."""
