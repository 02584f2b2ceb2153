package whatsminer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"rackagent/drivers/miner/rpc"
)

// tokenReply is the log-in that the vectors are of, with password admin.
const tokenReply = `{"STATUS":"S","When":1700000000,"Code":134,"Msg":{"time":"5626","salt":"BQ5hoXV9","newsalt":"jbzkfQls"},"Description":""}`

const (
	vectorKey   = "RxmaDUO33TS7O26yeMHZ81"
	vectorSign  = "w.BNbkCV6n1aNWgiBWLzT/"
	vectorAES   = "199e0a202039bb7b558db7a54697dca29cb278055b7e659a127fb844d5a2fbf6"
	vectorClear = `{"cmd":"power_off","respbefore":"true","token":"w.BNbkCV6n1aNWgiBWLzT/"}`
	vectorZero  = "p/QzYk8jszmQrR9dnOEVtXIRGg7DTmk9EUY2Z5AGabmXE9uaOgah2+aEOFK/+YqMLm9r+794UBuENliIrZU34RMDsIvMmXNaR4TnfXjrtNQ="
	vectorPKCS7 = "p/QzYk8jszmQrR9dnOEVtXIRGg7DTmk9EUY2Z5AGabmXE9uaOgah2+aEOFK/+YqMLm9r+794UBuENliIrZU34WsBZ8dOEsO5zbejbAvTxFY="
	vectorReply = "C/UGIQ8LwD66stwLyOOcM8AaTOolBWk/O12cM+G7Mz53lluOVpsOSpBcGhtOpg0QfXzqoVOPWCksKSnoq5FdlDzf1zswfpjLBG0UghjHFmJyj0Iw94hY+ImJc0aQQ3bU"
	clearReply  = `{"STATUS":"S","When":1700000000,"Code":131,"Msg":"API command OK","Description":""}`
)

func vectorToken(t *testing.T) *token {
	t.Helper()
	o, err := rpc.Decode([]byte(tokenReply))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := newToken("admin", o.Object("Msg"))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestVectorsV2(t *testing.T) {
	tok := vectorToken(t)
	if key := md5crypt("admin", "BQ5hoXV9"); key != vectorKey || tok.sign != vectorSign || hex.EncodeToString(tok.aes[:]) != vectorAES {
		t.Errorf("key %s, sign %s, aes %x", key, tok.sign, tok.aes)
	}
	clear := plainV2("power_off", [][2]string{{"respbefore", "true"}}, tok.sign)
	if string(clear) != vectorClear {
		t.Errorf("%s", clear)
	}
	for pkcs7, want := range map[bool]string{false: vectorZero, true: vectorPKCS7} {
		tok.pkcs7 = pkcs7
		if got := string(sealedV2(tok, "power_off", [][2]string{{"respbefore", "true"}})); got != `{"enc":1,"data":"`+want+"\"}\n" {
			t.Errorf("PKCS#7 %t: %s", pkcs7, got)
		}
		if back, err := open(tok.aes, want); err != nil || string(back) != vectorClear {
			t.Errorf("PKCS#7 %t opens as %q, %v", pkcs7, back, err)
		}
	}
	if got := seal(tok.aes, []byte(clearReply), false); got != vectorReply {
		t.Errorf("%s", got)
	}
	if back, err := open(tok.aes, vectorReply); err != nil || string(back) != clearReply {
		t.Errorf("%q, %v", back, err)
	}
}

// TestMD5Crypt: the other expectations are of OpenSSL 3 (openssl passwd -1).
func TestMD5Crypt(t *testing.T) {
	for _, c := range [][3]string{
		{"a", "BQ5hoXV9", "t.TxAQsiyZjRFJ4wsZ89e1"},
		{"admin", "BQ5hoXV9", "RxmaDUO33TS7O26yeMHZ81"},
		{"a password of more than sixteen bytes", "BQ5hoXV9", "kGavsLqUbETyh1mmDcoHO1"},
		{"exactly16bytes!!", "jbzkfQls", "m6x9KnBTopPWbG.RNP1Zy/"},
		{"p", "ab", "lTzPedJomxi5Cai/PnmfX."},
	} {
		if got := md5crypt(c[0], c[1]); got != c[2] {
			t.Errorf("%q with %q: %s, want %s", c[0], c[1], got, c[2])
		}
	}
	if md5crypt("admin", "$1$BQ5hoXV9$x") != vectorKey || md5crypt("admin", "BQ5hoXV9more") != vectorKey {
		t.Error("what does not count of a salt counts")
	}
}

func TestPadding(t *testing.T) {
	for n, want := range map[int][2]int{0: {0, 16}, 1: {16, 16}, 15: {16, 16}, 16: {16, 32}, 17: {32, 32}} {
		text := bytes.Repeat([]byte{'x'}, n)
		for i, pkcs7 := range []bool{false, true} {
			p := padded(text, pkcs7)
			if len(p) != want[i] || !bytes.Equal(unpadded(p), text) {
				t.Errorf("%d bytes, PKCS#7 %t: %d, back %q", n, pkcs7, len(p), unpadded(p))
			}
		}
	}
	if got := unpadded([]byte("abc\x03\x02")); string(got) != "abc\x03\x02" {
		t.Errorf("%q", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, s := range []string{"", "!", "AAAA", strings.Repeat("A", 23)} {
		if got, err := open(sha256.Sum256(nil), s); err == nil {
			t.Errorf("%q: %q", s, got)
		}
	}
}

// TestVectorsV3 is of salt 5QAHiKMb, password super, time 1700000000.
func TestVectorsV3(t *testing.T) {
	const salt, password, ts = "5QAHiKMb", "super", 1700000000
	for command, want := range map[string]string{"set.miner.service": "ZMErIzaf", "set.miner.power_limit": "KE+jT6oZ", "set.miner.pools": "Pwg6oaYy"} {
		if _, token := signedV3(command, password, salt, ts); token != want {
			t.Errorf("%s: %s", command, token)
		}
	}
	hash, _ := signedV3("set.miner.service", password, salt, ts)
	if got := hex.EncodeToString(hash[:]); got != "64c12b23369f791fdc1daf2469eb4b9cd081e5ad8501e13f8b368177be1cd755" {
		t.Errorf("%s", got)
	}
	hash, _ = signedV3("set.miner.pools", password, salt, ts)
	const pools = `[{"pool":"stratum+tcp://p.example:3333","worker":"w.1","passwd":"x"}]`
	if got := seal(hash, []byte(pools), true); got != "zS/SRSZoKCCLE7rYs9bvuCNd+qB4A4G07+QQfL8qzcp+fnTNcZs/+kcUGj8aYqA7e0sIwx+BbSabbx0+L0+VuvrKSGTYgjfg1C1tmCbkYrU=" {
		t.Errorf("%s", got)
	}
}

func TestTokenRefuses(t *testing.T) {
	for _, msg := range []string{
		`{}`, `{"time":"5626","salt":"BQ5hoXV9"}`, `{"time":"5626","salt":"","newsalt":"jbzkfQls"}`,
		`{"time":"` + strings.Repeat("5", maxField+1) + `","salt":"BQ5hoXV9","newsalt":"jbzkfQls"}`,
	} {
		o, err := rpc.Decode([]byte(msg))
		if err != nil {
			t.Fatal(err)
		}
		if tok, err := newToken("admin", o); err == nil {
			t.Errorf("%s: %+v", msg, tok)
		}
	}
	o, err := rpc.Decode([]byte(`{"time":5626,"salt":"BQ5hoXV9","newsalt":"jbzkfQls"}`))
	if err != nil {
		t.Fatal(err)
	}
	if tok, err := newToken("admin", o); err != nil || tok.sign != vectorSign {
		t.Errorf("a time that is a number: %+v, %v", tok, err)
	}
}
