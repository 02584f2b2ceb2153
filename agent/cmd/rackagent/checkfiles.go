package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"rackagent/agent/link"
	"rackagent/config"
)

// files tries every file that the broker's session needs. A file in a bad state is a warning: the agent runs without a
// broker too, and takes the file as soon as it is mended.
func (c checkCmd) files(a *app, conf *config.Config) []config.Finding {
	m := conf.MQTT
	var found []config.Finding
	at := func(path, file string, use func(string) error) {
		if file == "" {
			return
		}
		located, err := config.Locate(file)
		if err == nil {
			err = use(located)
		}
		if err != nil {
			found = append(found, config.Finding{File: a.Config, Path: path, Severity: c.unless(config.Warning), Text: err.Error()})
		}
	}
	try := func(key, file string, use func(string) error) { at("mqtt."+key, file, use) }
	for i, m := range conf.Miners {
		at(fmt.Sprintf("miners[%d].password_file", i), m.PasswordFile, secret)
	}
	if _, err := agentKey(conf); err != nil {
		found = append(found, config.Finding{File: a.Config, Path: "commands.key_file", Severity: c.unless(config.Warning), Text: err.Error()})
	}
	try("password_file", m.PasswordFile, secret)
	try("ca_file", m.CAFile, authorities)
	try("key_file", m.KeyFile, secret)
	try("cert_file", m.CertFile, func(cert string) error { return pair(cert, m.KeyFile) })
	return append(found, c.certificate(a, conf)...)
}

// soon is how long before its end a certificate is worth a word.
const soon = 30 * 24 * time.Hour

// certificate judges the client certificate by whom it is for and by the clock. The agent never logs in with one that is
// another's or out of its time, and so this is an error, unless the service asks: a rack must be watched without a
// broker too.
func (c checkCmd) certificate(a *app, conf *config.Config) []config.Finding {
	m := conf.MQTT
	files, err := tlsFiles(m)
	if m.CertFile == "" || err != nil {
		return nil // told above
	}
	files.CA = "" // judged above
	files.Names, files.Now = ownNames(conf), bestTime(a.clocks.look, conf.StateDir)
	k := files.Look()
	f := config.Finding{File: a.Config, Path: "mqtt.cert_file", Severity: config.Error}
	switch {
	case errors.Is(k.Err, link.ErrForeign):
		f.Hint = "the common name, or a DNS name, has to be the agent's name, client_id or user"
		fallthrough
	case errors.Is(k.Err, link.ErrExpired), errors.Is(k.Err, link.ErrNotYetValid):
		f.Text = k.Err.Error()
		if c.Start {
			f.Severity = config.Warning
		}
	case k.Err == nil && k.Known && k.Leaf.NotAfter.Sub(k.At) < soon:
		f.Severity, f.Text = config.Warning, "the certificate expires on "+k.Leaf.NotAfter.UTC().Format(time.DateOnly)
	default:
		return nil
	}
	return []config.Finding{f}
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
