// Command kms is a KMS v2 plugin over Kubernetes' own gRPC service (k8s.io/kms/pkg/service, unmodified).
//
// Usage: kms SOCKET FOLDER. The folder has a file for each key (32 bytes) and `current`, which names the one in use; without
// the file `current` the plugin says that it is not well.
package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/kms/pkg/service"
)

const annotation = "made-by.kms.example.org"

type plugin struct{ folder string }

func (p plugin) aead(keyID string) (cipher.AEAD, error) {
	key, err := os.ReadFile(filepath.Join(p.folder, filepath.Base(keyID)))
	if err != nil {
		return nil, fmt.Errorf("there is no key %s", keyID)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (p plugin) current() (string, error) {
	name, err := os.ReadFile(filepath.Join(p.folder, "current"))
	return strings.TrimSpace(string(name)), err
}

func (p plugin) Status(context.Context) (*service.StatusResponse, error) {
	keyID, err := p.current()
	if err != nil {
		return &service.StatusResponse{Version: "v2", Healthz: "there is no current key", KeyID: "none"}, nil
	}
	return &service.StatusResponse{Version: "v2", Healthz: "ok", KeyID: keyID}, nil
}

func (p plugin) Encrypt(_ context.Context, _ string, data []byte) (*service.EncryptResponse, error) {
	keyID, err := p.current()
	if err != nil {
		return nil, err
	}
	aead, err := p.aead(keyID)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return &service.EncryptResponse{
		Ciphertext:  aead.Seal(nonce, nonce, data, nil),
		KeyID:       keyID,
		Annotations: map[string][]byte{annotation: []byte("tests")},
	}, nil
}

func (p plugin) Decrypt(_ context.Context, _ string, request *service.DecryptRequest) ([]byte, error) {
	if string(request.Annotations[annotation]) != "tests" {
		return nil, fmt.Errorf("the annotation is missing")
	}
	aead, err := p.aead(request.KeyID)
	if err != nil {
		return nil, err
	}
	if len(request.Ciphertext) < aead.NonceSize() {
		return nil, fmt.Errorf("too short")
	}
	return aead.Open(nil, request.Ciphertext[:aead.NonceSize()], request.Ciphertext[aead.NonceSize():], nil)
}

func main() {
	os.Remove(os.Args[1])
	server := service.NewGRPCService(os.Args[1], 5*time.Second, plugin{os.Args[2]})
	if err := server.ListenAndServe(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
