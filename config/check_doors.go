package config

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

var (
	// clientIDRule is what every MQTT 3.1.1 server must accept (MQTT-3.1.3-5), and the hyphen of our names.
	clientIDRule = regexp.MustCompile(`^[0-9A-Za-z-]{1,23}$`)
	userRule     = regexp.MustCompile(`^[!-~]{1,128}$`)                       // printable ASCII without spaces; length arbitrary
	hostRule     = regexp.MustCompile(`^[0-9A-Za-z]([0-9A-Za-z.:-]{0,252})$`) // RFC 1123 host names and addresses, roughly
	groupRule    = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)             // useradd(8)
)

// maxSocketPath is the longest path of a unix socket on Linux and macOS alike, where sun_path has 108 and 104
// bytes with the closing zero.
const maxSocketPath = 103

// mqtt judges the session with the broker. No text repeats a value.
func (k *checker) mqtt() {
	m := k.c.MQTT
	ownID := k.src.has("mqtt.client_id") || m.ClientID != k.c.Agent // else the agent's name was judged already
	if ownID && !clientIDRule.MatchString(m.ClientID) {
		k.errorf("mqtt.client_id", "", "not 1 to 23 characters out of A-Z, a-z, 0-9 and -")
	}
	if k.written("mqtt.user", m.User) && !userRule.MatchString(m.User) {
		k.errorf("mqtt.user", "", "not 1 to 128 printable characters without spaces")
	}
	k.credential("mqtt.password_file", m.PasswordFile)
	k.credential("mqtt.ca_file", m.CAFile)
	k.credential("mqtt.cert_file", m.CertFile)
	k.credential("mqtt.key_file", m.KeyFile)
	if m.PasswordFile != "" && m.User == "" {
		// MQTT 3.1.1, MQTT-3.1.2-22.
		k.errorf("mqtt.password_file", "", "a password needs a user")
	}
	if m.CertFile != "" && m.KeyFile == "" {
		k.errorf("mqtt.cert_file", "", "a certificate needs key_file")
	}
	if m.KeyFile != "" && m.CertFile == "" {
		k.errorf("mqtt.key_file", "", "a key needs cert_file")
	}
	if k.written("mqtt.server_name", m.ServerName) && !hostRule.MatchString(m.ServerName) {
		k.errorf("mqtt.server_name", "", "not a host name")
	}
	k.span("mqtt.spread_s", m.SpreadS, 0, 3600, " s") // arbitrary
	k.brokers(m)
}

// credential judges a path or the name of something that systemd passed on.
func (k *checker) credential(at, value string) {
	name, ok := strings.CutPrefix(value, credentialPrefix)
	switch {
	case !ok:
		k.file(at, value)
	case !credentialRule.MatchString(name):
		k.errorf(at, "write credential:NAME, as in LoadCredential=NAME:PATH of the unit", "not the name of a credential")
	}
}

// maxBrokers is arbitrary: each of them gets at least 2 s of an attempt that has 10 s.
const maxBrokers = 5

// brokers judges the addresses of the session.
func (k *checker) brokers(m MQTT) {
	one, many := k.written("mqtt.broker", m.Broker), k.src.has("mqtt.brokers") || len(m.Brokers) > 0
	switch {
	case one && many:
		k.errorf("mqtt.brokers", "keep one of the two", "broker names one already")
	case !many:
		k.broker("mqtt.broker", m.Broker, m)
		return
	case len(m.Brokers) == 0 || len(m.Brokers) > maxBrokers:
		k.errorf("mqtt.brokers", "", "a list of 1 to %d addresses is wanted", maxBrokers)
	}
	seen, schemes := map[string]bool{}, map[string]bool{}
	for i, b := range m.Brokers {
		at := index("mqtt.brokers", i)
		k.broker(at, b, m)
		if seen[strings.ToLower(b)] && b != "" {
			k.errorf(at, "delete one of the two", "this address stands in the list already")
		}
		seen[strings.ToLower(b)] = true
		scheme, _, _ := strings.Cut(strings.ToLower(b), "://")
		schemes[scheme] = true
	}
	if schemes["mqtts"] && schemes["mqtt"] {
		k.errorf("mqtt.brokers", "make all of them mqtts:// addresses", "whoever disturbs the addresses with TLS would lead the agent to one without")
	}
}

// broker judges one address.
func (k *checker) broker(at, address string, m MQTT) {
	const hint = "write mqtts://HOST:PORT"
	if !k.given(at, address == "") {
		return
	}
	u, err := url.Parse(address)
	_, place, _ := strings.Cut(address, "://")
	switch {
	case strings.Contains(place, "@"):
		k.errorf(at, "use user and password_file", "a user or a password may not stand in the address")
	case err != nil || u.Scheme != "mqtt" && u.Scheme != "mqtts" || place == "":
		k.errorf(at, hint, "not an mqtts:// or mqtt:// address")
	case strings.ContainsAny(place, "/?#"):
		k.errorf(at, hint, "nothing may follow the port")
	case !hostRule.MatchString(u.Hostname()) || !isPort(u.Port()):
		k.errorf(at, hint+", usually 8883", "the address needs a host and a port")
	case u.Scheme == "mqtt":
		k.plaintext(at, m, u.Hostname())
	}
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// plaintext judges a connection without TLS.
func (k *checker) plaintext(at string, m MQTT, host string) {
	for _, f := range []struct{ key, value string }{
		{"ca_file", m.CAFile}, {"cert_file", m.CertFile}, {"key_file", m.KeyFile}, {"server_name", m.ServerName},
	} {
		if f.value != "" {
			k.errorf("mqtt."+f.key, "make the broker an mqtts:// address", "this key has no effect without TLS")
		}
	}
	switch {
	case isLoopback(host):
	case m.PasswordFile != "":
		k.errorf(at, "write mqtts://HOST:PORT", "the password would cross the network in the clear")
	default:
		k.warnf(at, "write mqtts://HOST:PORT", "without TLS anybody on the network can read and forge messages")
	}
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() && addr.Zone() == ""
}

// doors judges what the agent listens on.
func (k *checker) doors() {
	socket := k.c.Local.Socket
	switch {
	case !absolute(socket):
		k.errorf("local.socket", "", "%s is not an absolute path without . and ..", quote(socket))
	case len(socket) > maxSocketPath:
		k.errorf("local.socket", "", "the path of a unix socket has at most %d bytes", maxSocketPath)
	}
	if group := k.c.Local.Group; !groupRule.MatchString(group) {
		k.errorf("local.group", "", "%s is not the name of a group", quote(group))
	}
	if k.c.HTTP.Listen != "" {
		k.listen(k.c.HTTP.Listen)
	}
}

func (k *checker) listen(value string) {
	const at, hint = "http.listen", `write 127.0.0.1:9871, or "" for none`
	host, port, err := net.SplitHostPort(value)
	switch {
	case err != nil || !isPort(port):
		k.errorf(at, hint, "%s is not ADDRESS:PORT", quote(value))
	case !isLoopback(host):
		k.errorf(at, hint, "%s is not a loopback address; metrics have no password and stay on this machine", quote(host))
	}
}
