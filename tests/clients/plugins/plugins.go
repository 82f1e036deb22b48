//go:build plugins

// Package plugins pins the credential plugins that test_exec_plugins.py builds and runs unmodified.
package plugins

import _ "sigs.k8s.io/aws-iam-authenticator/cmd/aws-iam-authenticator"
