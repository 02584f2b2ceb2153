package whatsminer

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"rackagent/drivers"
	"rackagent/drivers/miner"
	"rackagent/drivers/miner/rpc"
)

// honest holds a status against what it was made of: a word that stands in no reply is in no status, and no rate makes a miner.
func honest(t *testing.T, s miner.Status) {
	t.Helper()
	if s.State == miner.Mining && s.Hashrate == nil {
		t.Errorf("mining without a rate: %+v", s)
	}
	if s.LimitW != nil && !(*s.LimitW >= 1 && *s.LimitW < noLimit) {
		t.Errorf("a limit of %g W", *s.LimitW)
	}
	if s.Uptime != nil && *s.Uptime < 0 || s.Running != nil && *s.Running < 0 {
		t.Errorf("it runs since tomorrow: %v, %v", s.Uptime, s.Running)
	}
	if len(s.Errors) > maxTroubles {
		t.Errorf("%d troubles", len(s.Errors))
	}
	texts := []string{s.Model, s.Firmware, s.API, s.Serial, s.MAC, s.Mode}
	for _, e := range s.Errors {
		texts = append(texts, e.Code, e.Text)
	}
	for _, text := range texts {
		if strings.ContainsFunc(text, unicode.IsControl) || len([]rune(text)) > 200 {
			t.Errorf("not for people: %q", text)
		}
	}
	if _, err := json.Marshal(s); err != nil {
		t.Error(err)
	}
}

// fits holds a reading against the journal, which it has to survive.
func fits(t *testing.T, r reading) {
	t.Helper()
	b, err := json.Marshal(r.setting(DialectV2, strings.Repeat("0", 32)))
	if err != nil || len(b) > miner.MaxSetting {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	var s miner.Setting
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	back := readingOf(s)
	if _, send := back.otherLimit(r); send || back.otherMode(r) {
		t.Errorf("%+v differs from what it was kept as, %+v", r, back)
	}
}

func FuzzV2Status(f *testing.F) {
	for _, c := range casesV2() {
		f.Add([]byte(c["status"]), []byte(c["summary"]), []byte(c["edevs"]), []byte(c["get_error_code"]))
	}
	f.Fuzz(func(t *testing.T, status, summary, devs, errors []byte) {
		got := map[string]rpc.Object{}
		for name, text := range map[string][]byte{"status": status, "summary": summary, "edevs": devs, "get_error_code": errors} {
			o, fault, err := reportV2(text)
			if (o == nil) == (err == nil) || (fault == drivers.None) != (err == nil) {
				t.Fatalf("%v, %s, %v", o, fault, err)
			}
			got[name] = o
		}
		s := statusV2(got)
		honest(t, s)
		if got["summary"] == nil && (s.Power != nil || s.Hashrate != nil || s.Average != nil) {
			t.Errorf("invented: %+v", s)
		}
		fits(t, readingV2(got["status"], got["summary"]))
		poolsHash(got["summary"], "POOLS", "URL", "User")
	})
}

func FuzzV3Status(f *testing.F) {
	for _, c := range casesV3() {
		f.Add([]byte(c["info"]), []byte(c["summary"]), []byte(c["edevs"]), []byte(c["pools"]))
	}
	f.Fuzz(func(t *testing.T, info, summary, devs, pools []byte) {
		got := map[string]rpc.Object{}
		for name, text := range map[string][]byte{"info": info, "summary": summary, "edevs": devs, "pools": pools} {
			o, fault, err := reportV3(text)
			if (o == nil) == (err == nil) || (fault == drivers.None) != (err == nil) {
				t.Fatalf("%v, %s, %v", o, fault, err)
			}
			got[name] = o
		}
		s := statusV3(got)
		honest(t, s)
		if got["summary"] == nil && (s.Power != nil || s.Hashrate != nil || s.Average != nil) {
			t.Errorf("invented: %+v", s)
		}
		fits(t, readingV3(got["info"], got["summary"]))
		lockedV3(got["info"])
		poolsHash(got["pools"], "pools", "url", "account")
	})
}

// FuzzV2Answer: a reply is a success only if its envelope says so, and holds no secret.
func FuzzV2Answer(f *testing.F) {
	for _, s := range []string{
		clearReply, `{"enc":"` + vectorReply + `"}`, `{"enc":"AAAA"}`, `{"STATUS":"E","Code":135,"Msg":"` + vectorSign + `"}`, `can't access write cmd`, `{"STATUS":"E","Code":45}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		tok := vectorToken(t)
		s, fault, err := answerV2(tok, raw)
		if (fault == drivers.None) != (err == nil) || err == nil && !s.OK() {
			t.Fatalf("%+v, %s, %v", s, fault, err)
		}
		text := s.Text
		if err != nil {
			text += err.Error()
		}
		for _, secret := range tok.secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%q holds %q", text, secret)
			}
		}
	})
}

// FuzzV3Answer does so for v3.
func FuzzV3Answer(f *testing.F) {
	for _, s := range []string{okV3, `{"code":-4,"msg":"ZMErIzaf"}`, `{"code":"0","msg":{"a":1}}`, `{"msg":"ok"}`, `[]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		text, fault, err := answerV3(raw, "ZMErIzaf")
		if (fault == drivers.None) != (err == nil) || fault == drivers.Corrupt {
			t.Fatalf("%q, %s, %v", text, fault, err)
		}
		if err != nil {
			text += err.Error()
		}
		if strings.Contains(text, "ZMErIzaf") {
			t.Errorf("%q", text)
		}
	})
}

// FuzzV2Token: whatever a log-in holds, a token of 22 characters or an error.
func FuzzV2Token(f *testing.F) {
	f.Add([]byte(tokenReply), "admin")
	f.Add([]byte(`{"STATUS":"S","Code":134,"Msg":{"time":5626,"salt":"$1$x$","newsalt":"$"}}`), "")
	f.Add([]byte(`{"STATUS":"S","Code":134,"Msg":"over max connect"}`), "a password of more than sixteen bytes")
	f.Fuzz(func(t *testing.T, raw []byte, password string) {
		o, _, err := reportV2(raw)
		if err != nil || len(password) > 64 {
			return
		}
		tok, err := newToken(password, o.Object("Msg"))
		if (tok == nil) == (err == nil) || tok != nil && len(tok.sign) != 22 {
			t.Fatalf("%+v, %v", tok, err)
		}
	})
}

// FuzzUnframed: a message that is read is the one that was sent, and never longer than what is allowed.
func FuzzUnframed(f *testing.F) {
	for _, s := range []string{"", "\x02\x00\x00\x00{}", "\x03\x00\x00\x00{}", "\x00\x00\x00\x00", "\xff\xff\xff\xff{", "\x01\x00\x00\x00{}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		message, err := unframed(bytes.NewReader(raw))
		if err == nil && (len(message) == 0 || len(message) > miner.MaxReply || !bytes.HasPrefix(raw, framed(message))) {
			t.Errorf("%q of %q", message, raw)
		}
	})
}

// FuzzSeal: what was sealed opens as it was, in either padding, as far as the padding lets one tell.
func FuzzSeal(f *testing.F) {
	f.Add([]byte(vectorClear), vectorReply)
	f.Add([]byte(""), "")
	f.Add([]byte("sixteen bytes ..}"), "AAAAAAAAAAAAAAAAAAAAAA==")
	f.Fuzz(func(t *testing.T, text []byte, sealed string) {
		key := vectorToken(t).aes
		text = append(text, '}')
		for _, pkcs7 := range []bool{false, true} {
			if back, err := open(key, seal(key, text, pkcs7)); err != nil || !bytes.Equal(back, text) {
				t.Errorf("PKCS#7 %t: %q, %v, want %q", pkcs7, back, err, text)
			}
		}
		if back, err := open(key, sealed); err == nil && len(back) > len(sealed) {
			t.Errorf("%q", back)
		}
	})
}
