package scan

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
)

// plain holds texts of the network to what may be shown.
func plain(t *testing.T, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if len([]rune(s)) > 51 || strings.ContainsFunc(s, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }) {
			t.Fatalf("%q", s)
		}
	}
}

// ofUnit holds a MAC to its form.
func ofUnit(t *testing.T, m string) {
	t.Helper()
	if m != "" && (len(m) != 17 || mac(m) != m) {
		t.Fatalf("%q", m)
	}
}

func FuzzVersion(f *testing.F) {
	for _, s := range []string{bmminer, "STATUS=S,Code=22|VERSION,CGMiner=4.9.0|", `{"VERSION":[{"LUXminer":"\u001b[2J"}]}`, `{"VERSION":{"PROD":"Avalon","MAC":"02005e100003"}}`, "\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		v := readVersion(in)
		var got Found
		v.machine(&got)
		plain(t, v.text, v.firmware(), got.Firmware)
		ofUnit(t, got.MAC)
		if (v.family == famNone) != (v.word == "") || len(got.Model) > 500 {
			t.Fatalf("%+v", v)
		}
	})
}

func FuzzV2(f *testing.F) {
	for _, s := range []string{`{"STATUS":"S","Code":131,"Msg":{"api_ver":"2.0.5","fw_ver":"20230803"}}`, `{"STATUS":[{"Code":131}],"Msg":[]}`, "{"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		i := readV2(in)
		plain(t, i.api, i.fw)
		if !i.ok && i != (v2Info{}) {
			t.Fatalf("%+v", i)
		}
	})
}

func FuzzV3(f *testing.F) {
	for _, s := range []string{`{"code":0,"msg":{"miner":{"type":"M60S_VK40"},"network":{"mac":"02:00:5E:10:00:04"},"system":{"apiswitch":"0"}}}`, `{"code":"0","msg":[{}]}`, `{"code":-2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		i := readV3(in)
		plain(t, i.api, i.fw, i.model, i.name)
		ofUnit(t, i.mac)
		if !i.ok && i != (v3Info{}) {
			t.Fatalf("%+v", i)
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Add(framed(`{"code":0}`))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := unframed(bytes.NewReader(in))
		if err == nil && !bytes.HasPrefix(in, framed(string(got))) {
			t.Fatalf("%q", got)
		}
	})
}

func FuzzPage(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n<title>AnthillOS</title>", "HTTP/1.1 401 x\r\nWWW-Authenticate: Digest realm=\"antMiner Configuration\", qop=\"auth\"\r\n\r\n",
		"HTTP/1.1 307 x\r\nLocation: https://a/cgi-bin/luci\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "HTTP/1.1 200 OK\r\n\r\n{\"fw_name\":\"Vnish\",\"system\":{\"network_status\":{\"mac\":\"02:00:5e:10:00:09\"}}}",
		"HTTP/1.1 200 OK\r\n\r\n{\"ASICModel\":\"BM1370\",\"macAddr\":\"x\"}", "\x16\x03\x01",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := readPage(bytes.NewReader(in))
		if err != nil {
			return
		}
		plain(t, p.realm, p.location, p.server, p.title)
		if len(p.body) > maxAnswer || strings.ContainsAny(p.words(), "\n\x1b") {
			t.Fatalf("%q", p.words())
		}
		o := p.object()
		v, a := readVnish(o), readAxe(o)
		plain(t, a.model, a.firmware, a.name, v.name)
		ofUnit(t, v.mac)
		ofUnit(t, a.mac)
		strangerOf(p)
	})
}

func FuzzPrefix(f *testing.F) {
	for _, s := range []string{"10.0.3.0/24", "2001:db8::/120", "10.0.3.7", "::ffff:1.2.3.4/120", "0.0.0.0/0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Prefix(s)
		if err != nil {
			return
		}
		if p != p.Masked() || p.Addr().BitLen()-p.Bits() > 16 || p.Addr().Is4In6() {
			t.Fatalf("%s", p)
		}
	})
}
