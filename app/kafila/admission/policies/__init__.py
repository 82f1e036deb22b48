"""ValidatingAdmissionPolicies: rules in CEL that are evaluated here (KEP-3488). Pure; ``registry.policies`` finds what they need."""
