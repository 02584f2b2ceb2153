package antminer

import (
	"errors"
	"strings"
	"testing"
)

// TestAnswer holds the digest against the examples of the standards, and one of a unit's realm.
func TestAnswer(t *testing.T) {
	const nonce2617, cnonce7616 = "dcd98b7102dd2f0e8b11d0f600bfb0c093", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
	opaque := "5ccc069c403ebaf9f0171e9517f40e41"
	for name, c := range map[string]struct {
		c                                challenge
		user, password, uri, cnonce, out string
	}{
		"RFC 2617, 3.5": {
			challenge{realm: "testrealm@host.com", nonce: nonce2617, auth: true, opaque: &opaque},
			"Mufasa", "Circle Of Life", "/dir/index.html", "0a4f113b",
			`Digest username="Mufasa", realm="testrealm@host.com", nonce="` + nonce2617 + `", uri="/dir/index.html", response="6629fae49393a05397450978507c4ef1", ` +
				`qop=auth, nc=00000001, cnonce="0a4f113b", opaque="` + opaque + `"`,
		},
		"RFC 7616, 3.9.1": {
			challenge{realm: "http-auth@example.org", nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", auth: true, algorithm: "MD5"},
			"Mufasa", "Circle of Life",
			"/dir/index.html", cnonce7616, `Digest username="Mufasa", realm="http-auth@example.org", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", ` +
				`uri="/dir/index.html", response="8ca523f5e9506fed4657c9700eebdbec", algorithm=MD5, qop=auth, nc=00000001, cnonce="` + cnonce7616 + `"`,
		},
		"RFC 2069, with its erratum": {
			challenge{realm: "testrealm@host.com", nonce: nonce2617},
			"Mufasa", "CircleOfLife", "/dir/index.html", "x",
			`Digest username="Mufasa", realm="testrealm@host.com", nonce="` + nonce2617 + `", uri="/dir/index.html", response="1949323746fe6a43ef61f9606e7febea"`,
		},
		"a unit": {
			challenge{realm: "antMiner Configuration", nonce: "abcdef0123456789", auth: true},
			"root", "root", cgi + pageConf, "0a4f113b",
			`Digest username="root", realm="antMiner Configuration", nonce="abcdef0123456789", uri="/cgi-bin/get_miner_conf.cgi", ` +
				`response="0e0b704f1bd8058c13d3ec2a36fa398b", qop=auth, nc=00000001, cnonce="0a4f113b"`,
		},
		"MD5-sess, and words to escape": {
			challenge{realm: `a"b\c`, nonce: "n", auth: true, algorithm: "md5-sess"},
			`"u`, "p", "/", "c",
			`Digest username="\"u", realm="a\"b\\c", nonce="n", uri="/", response="` +
				hash(hash(hash(`"u`, `a"b\c`, "p"), "n", "c"), "n", "00000001", "c", "auth", hash("GET", "/")) + `", algorithm=md5-sess, qop=auth, nc=00000001, cnonce="c"`,
		},
	} {
		if got := c.c.answer(c.user, c.password, "GET", c.uri, c.cnonce); got != c.out {
			t.Errorf("%s\n got %s\nwant %s", name, got, c.out)
		}
	}
	c := challenge{nonce: "n", auth: true}
	c.answer("u", "p", "GET", "/", "c")
	if got := c.answer("u", "p", "GET", "/", "c"); !strings.Contains(got, "nc=00000002") {
		t.Errorf("the second answer: %s", got)
	}
}

// TestChallengeOf: headers as servers write them, whatever the standards say of quotes and commas.
func TestChallengeOf(t *testing.T) {
	for header, want := range map[string]string{
		`Digest realm="antMiner Configuration", nonce="1", qop="auth"`:                                                                      "antMiner Configuration|1||true|-",
		`Digest realm="r",nonce="1",qop="auth",opaque="",algorithm=MD5`:                                                                     "r|1|MD5|true|",
		`digest REALM = r , Nonce = 1 , QOP = auth-int,opaque=o`:                                                                            "",
		`Digest realm=r, nonce=1, qop="auth-int, auth", algorithm="MD5", stale=TRUE`:                                                        "r|1|MD5|true|-",
		`Digest realm="a, \"b\" = c", nonce="1==", domain="/"`:                                                                              `a, "b" = c|1==||false|-`,
		`Basic realm="antMiner", Digest realm="r", nonce="1", qop="auth"`:                                                                   "r|1||true|-",
		`Basic abc==, Digest realm="r", nonce="1", qop="auth", Bearer x="y"`:                                                                "r|1||true|-",
		`Digest realm="r", nonce="1", qop="auth", algorithm=SHA-256, Digest realm="r", nonce="2", qop="auth", algorithm=MD5-sess, opaque=o`: "r|2|MD5-sess|true|o",
		`Digest nonce="1`:                     "|1||false|-",
		`Digest nonce=`:                       "",
		`Digest realm="r"`:                    "",
		`Digest`:                              "",
		``:                                    "",
		`Basic realm="r"`:                     "",
		`NoDigest nonce="1"`:                  "",
		`Digest nonce="1", algorithm=SHA-256`: "",
	} {
		got, c, err := "", (*challenge)(nil), error(nil)
		if c, err = challengeOf([]string{header}); c != nil {
			opaque := "-"
			if c.opaque != nil {
				opaque = *c.opaque
			}
			got = strings.Join([]string{c.realm, c.nonce, c.algorithm, map[bool]string{true: "true", false: "false"}[c.auth], opaque}, "|")
		}
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, errNoDigest) {
			t.Errorf("%s\n got %s, %v\nwant %s", header, got, err, want)
		}
	}
	for _, header := range []string{"Digest nonce=\"a\x01b\"", `Digest nonce="` + strings.Repeat("x", maxWord+1) + `"`, "Digest nonce=1, realm=\"\x7f\"", "Digest nonce=1,opaque=\"\xff\""} {
		if c, err := challengeOf([]string{header}); !errors.Is(err, errOddWord) {
			t.Errorf("%q: %+v, %v", header, c, err)
		}
	}
	if c, err := challengeOf([]string{`Basic realm="r"`, `Digest nonce="2"`}); err != nil || c.nonce != "2" {
		t.Errorf("of two headers: %+v, %v", c, err)
	}
}

// FuzzChallenge: whatever comes, an answer is one line, and holds neither the password nor more than was asked for.
func FuzzChallenge(f *testing.F) {
	for _, s := range []string{
		`Digest realm="antMiner Configuration", nonce="1", qop="auth"`, `Basic a==, Digest realm="a\"b", nonce=1, opaque="", algorithm=MD5-sess`, `Digest nonce="1`,
		"Digest nonce=\"a\rb\"", `Digest ="",=,nonce`, `Digest nonce="1", qop="auth-int"`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		c, err := challengeOf([]string{header})
		if (c == nil) == (err == nil) {
			t.Fatalf("%+v, %v", c, err)
		}
		if c == nil {
			return
		}
		const password = "ZMErIzaf+~"
		out := c.answer("root", password, "GET", "/", "00")
		if strings.ContainsAny(out, "\r\n\x00") || strings.Contains(out, password) && !strings.Contains(header, password) || c.nonce == "" {
			t.Errorf("%q", out)
		}
		back := digests(out)
		if len(back) != 1 || back[0]["realm"] != c.realm || back[0]["nonce"] != c.nonce || back[0]["uri"] != "/" || len(back[0]["response"]) != 32 {
			t.Errorf("%q is read as %q", out, back)
		}
	})
}
