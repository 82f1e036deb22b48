//go:build tools

// Programs of others that are built from their modules: tests run them as they are.
package clients

import (
	_ "github.com/karmada-io/karmada/cmd/webhook"
	_ "k8s.io/pod-security-admission/cmd/webhook"
)
