// Command server serves what the network tests ask for: HTTP/1.1, HTTP/2 over TLS, and echoes over TCP and UDP.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

func main() {
	port, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	at := func(p int) string { return ":" + strconv.Itoa(p) }
	mux := http.NewServeMux()
	mux.HandleFunc("/port", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, port) })
	mux.HandleFunc("/sum", sum)
	mux.HandleFunc("/bytes", send)
	mux.HandleFunc("/stats", stats)
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) { show(w, r.FormValue("name")) })
	mux.HandleFunc("/addresses", func(w http.ResponseWriter, _ *http.Request) {
		all, err := net.InterfaceAddrs()
		fmt.Fprintln(w, all, err)
	})
	mux.HandleFunc("/lookup", func(w http.ResponseWriter, r *http.Request) {
		found, err := net.LookupHost(r.FormValue("name"))
		fmt.Fprintln(w, found, err)
	})
	go echo(at(port + 200))
	go echoDatagrams(at(port + 200))
	secure := &http.Server{Addr: at(port + 100), Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate()}}}
	go func() { log.Fatal(secure.ListenAndServeTLS("", "")) }()
	log.Fatal(http.ListenAndServe(at(port), mux))
}

// sum answers with the SHA-256 of the body.
func sum(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	if _, err := io.Copy(h, r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "%x", h.Sum(nil))
}

// send answers with n bytes that a generator makes, and their SHA-256 in a trailer.
func send(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.FormValue("n"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Trailer", "Sum")
	h := sha256.New()
	b := make([]byte, 32<<10)
	for x := uint64(88172645463325252); n > 0; n -= len(b) {
		b = b[:min(n, len(b))]
		for i := range b {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			b[i] = byte(x)
		}
		h.Write(b)
		if _, err := w.Write(b); err != nil {
			return
		}
	}
	w.Header().Set("Sum", fmt.Sprintf("%x", h.Sum(nil)))
}

// stats tells what the guest holds: descriptors, goroutines, KiB of free memory.
func stats(w http.ResponseWriter, _ *http.Request) {
	debug.FreeOSMemory()
	fds, _ := os.ReadDir("/proc/self/fd")
	free := 0
	b, _ := os.ReadFile("/proc/meminfo")
	for _, line := range strings.Split(string(b), "\n") {
		fmt.Sscanf(line, "MemFree: %d", &free) //nolint:errcheck // most lines do not match
	}
	fmt.Fprintf(w, "fds %d goroutines %d free %d", len(fds), runtime.NumGoroutine(), free)
}

func show(w http.ResponseWriter, name string) {
	b, err := os.ReadFile(name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Write(b) //nolint:errcheck // the client sees it
}

func echo(at string) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		log.Fatal(err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			log.Print(err)
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go func() {
			defer c.Close()
			io.Copy(c, c) //nolint:errcheck // the client sees it
		}()
	}
}

func echoDatagrams(at string) {
	c, err := net.ListenPacket("udp", at)
	if err != nil {
		log.Fatal(err)
	}
	b := make([]byte, 65536)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			log.Print(err)
			continue
		}
		if _, err := c.WriteTo(b[:n], from); err != nil {
			log.Print(err)
		}
	}
}

// certificate makes one for itself.
func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"gosv"}, NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
