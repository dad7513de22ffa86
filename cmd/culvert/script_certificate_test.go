package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdCertificate is "certificate": cert.pem and key.pem for 127.0.0.1, signed by the
// private CA ca.pem.
func cmdCertificate(ts *testscript.TestScript, _ bool, _ []string) {
	caKey, key := newKey(ts), newKey(ts)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "relay"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	writePEM(ts, "ca.pem", "CERTIFICATE", sign(ts, ca, ca, caKey, caKey))
	writePEM(ts, "cert.pem", "CERTIFICATE", sign(ts, leaf, ca, key, caKey))
	der, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	writePEM(ts, "key.pem", "PRIVATE KEY", der)
}

func newKey(ts *testscript.TestScript) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	return key
}

func sign(ts *testscript.TestScript, cert, by *x509.Certificate, key, with crypto.Signer) []byte {
	der, err := x509.CreateCertificate(rand.Reader, cert, by, key.Public(), with)
	ts.Check(err)
	return der
}

func writePEM(ts *testscript.TestScript, name, kind string, der []byte) {
	writeFile(ts, ts.MkAbs(name), string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}
