// kubelet is what a member's API server reaches on its nodes: commands run on this machine, ports are those of this machine, and
// everything else (logs) is kwok's. kwok itself tells no exit codes and does not end a command's input.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/creack/pty"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

const (
	idle     = 4 * time.Hour
	creation = 30 * time.Second
)

type node struct{}

func (node) ExecInContainer(ctx context.Context, _, _, _ string, command []string, in io.Reader, out, errs io.WriteCloser, tty bool, sizes <-chan remotecommand.TerminalSize, _ time.Duration) error {
	program := exec.CommandContext(ctx, command[0], command[1:]...)
	if tty {
		return coded(runInTerminal(program, in, out, sizes))
	}
	program.Stdout, program.Stderr = writer(out), writer(errs)
	if in != nil {
		stdin, err := program.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(stdin, in)
			_ = stdin.Close()
		}()
	}
	return coded(program.Run())
}

// AttachContainer: the main process of every container is cat.
func (n node) AttachContainer(ctx context.Context, name, uid, container string, in io.Reader, out, errs io.WriteCloser, tty bool, sizes <-chan remotecommand.TerminalSize) error {
	return n.ExecInContainer(ctx, name, uid, container, []string{"cat"}, in, out, errs, tty, sizes, 0)
}

func (node) PortForward(ctx context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	found, err := (&net.Dialer{}).DialContext(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer found.Close()
	go func() {
		_, _ = io.Copy(found, stream)
		_ = found.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(stream, found)
	return err
}

func runInTerminal(program *exec.Cmd, in io.Reader, out io.Writer, sizes <-chan remotecommand.TerminalSize) error {
	terminal, err := pty.Start(program)
	if err != nil {
		return err
	}
	defer terminal.Close()
	go func() {
		for size := range sizes {
			_ = pty.Setsize(terminal, &pty.Winsize{Rows: size.Height, Cols: size.Width})
		}
	}()
	if in != nil {
		go func() { _, _ = io.Copy(terminal, in) }()
	}
	_, _ = io.Copy(out, terminal)
	return program.Wait()
}

func writer(stream io.WriteCloser) io.Writer {
	if stream == nil {
		return nil
	}
	return stream
}

func coded(err error) error {
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return utilexec.CodeExitError{Err: err, Code: ended.ExitCode()}
	}
	return err
}

func serve(behind *httputil.ReverseProxy) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		switch {
		case len(parts) >= 4 && (parts[0] == "exec" || parts[0] == "attach"):
			options, err := remotecommand.NewOptions(r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			pod, container := parts[1]+"/"+parts[2], parts[len(parts)-1]
			protocols := remotecommand.SupportedStreamingProtocols
			if parts[0] == "exec" {
				remotecommand.ServeExec(w, r, node{}, pod, "", container, r.URL.Query()["command"], options, idle, creation, protocols)
			} else {
				remotecommand.ServeAttach(w, r, node{}, pod, "", container, options, idle, creation, protocols)
			}
		case len(parts) >= 3 && parts[0] == "portForward":
			options, err := portforward.NewV4Options(r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			portforward.ServePortForward(w, r, node{}, parts[1]+"/"+parts[2], "", options, idle, creation, portforward.SupportedProtocols)
		default:
			behind.ServeHTTP(w, r)
		}
	}
}

func main() {
	address := flag.String("address", "127.0.0.1:0", "where to listen")
	certificate := flag.String("cert", "", "")
	key := flag.String("key", "", "")
	behind := flag.String("behind", "", "the URL of kwok's server")
	flag.Parse()
	to, err := url.Parse(*behind)
	if err == nil {
		proxy := httputil.NewSingleHostReverseProxy(to)
		proxy.FlushInterval = -1
		proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		server := &http.Server{
			Addr:         *address,
			Handler:      serve(proxy),
			TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1 can be upgraded
		}
		err = server.ListenAndServeTLS(*certificate, *key)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
