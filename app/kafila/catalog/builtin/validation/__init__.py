"""What Kubernetes refuses: functions that append FieldErrors with its exact texts to a list."""
