package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"

	"rackagent/config"
)

// files tries every file that the broker's session needs. A file in a bad state is a warning: the agent runs without a
// broker too, and takes the file as soon as it is mended.
func (c checkCmd) files(a *app, m config.MQTT) []config.Finding {
	var found []config.Finding
	try := func(key, file string, use func(string) error) {
		if file == "" {
			return
		}
		path, err := config.Locate(file)
		if err == nil {
			err = use(path)
		}
		if err != nil {
			found = append(found, config.Finding{File: a.Config, Path: "mqtt." + key, Severity: c.unless(config.Warning), Text: err.Error()})
		}
	}
	try("password_file", m.PasswordFile, secret)
	try("ca_file", m.CAFile, authorities)
	try("key_file", m.KeyFile, secret)
	try("cert_file", m.CertFile, func(cert string) error { return pair(cert, m.KeyFile) })
	return found
}

func secret(file string) error {
	_, err := config.ReadSecret(file)
	return err
}

func authorities(file string) error {
	pem, err := os.ReadFile(file)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return errors.New(file + ": it holds no certificate")
	}
	return err
}

// pair judges whether certificate and key belong together. What is wrong with the key's file alone is told elsewhere.
func pair(cert, key string) error {
	certPEM, err := os.ReadFile(cert)
	if err != nil {
		return err
	}
	k, err := config.ReadSecret(key)
	if err != nil {
		return nil //nolint:nilerr // told under key_file
	}
	if _, err := tls.X509KeyPair(certPEM, []byte(k.Reveal())); err != nil {
		return errors.New(cert + ": " + err.Error())
	}
	return nil
}
