package whatsminer

import (
	"encoding/hex"
	"testing"
)

// The token of the vectors: password admin, time 5626.
const (
	vectorSalt  = "BQ5hoXV9"
	vectorNew   = "jbzkfQls"
	vectorClear = `{"cmd":"power_off","respbefore":"true","token":"w.BNbkCV6n1aNWgiBWLzT/"}`
	vectorZero  = "p/QzYk8jszmQrR9dnOEVtXIRGg7DTmk9EUY2Z5AGabmXE9uaOgah2+aEOFK/+YqMLm9r+794UBuENliIrZU34RMDsIvMmXNaR4TnfXjrtNQ="
	vectorPKCS  = "p/QzYk8jszmQrR9dnOEVtXIRGg7DTmk9EUY2Z5AGabmXE9uaOgah2+aEOFK/+YqMLm9r+794UBuENliIrZU34WsBZ8dOEsO5zbejbAvTxFY="
	vectorReply = "C/UGIQ8LwD66stwLyOOcM8AaTOolBWk/O12cM+G7Mz53lluOVpsOSpBcGhtOpg0QfXzqoVOPWCksKSnoq5FdlDzf1zswfpjLBG0UghjHFmJyj0Iw94hY+ImJc0aQQ3bU"
)

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// TestV2Vectors: what a client makes of get_token.
func TestV2Vectors(t *testing.T) {
	hash := md5crypt("admin", vectorSalt)
	same(t, "key", hash, "RxmaDUO33TS7O26yeMHZ81")
	same(t, "sign", md5crypt(hash+"5626", vectorNew), "w.BNbkCV6n1aNWgiBWLzT/")
	same(t, "a password of 26 bytes", md5crypt("averylongpasswordover16bytes", "ab"), "exg9nPRuLZF4VhAZE7k440") // openssl passwd -1
	key := aesKey(hash)
	same(t, "AES key", hex.EncodeToString(key), "199e0a202039bb7b558db7a54697dca29cb278055b7e659a127fb844d5a2fbf6")
	same(t, "zeros", encrypt(key, []byte(vectorClear), PadZero), vectorZero)
	same(t, "PKCS#7", encrypt(key, []byte(vectorClear), PadPKCS7), vectorPKCS)
	reply := `{"STATUS":"S","When":1700000000,"Code":131,"Msg":"API command OK","Description":""}`
	same(t, "reply", encrypt(key, []byte(reply), PadEither), vectorReply)
}

// TestPaddings: each firmware takes what it takes, and a block that is full without padding.
func TestPaddings(t *testing.T) {
	key := aesKey("RxmaDUO33TS7O26yeMHZ81")
	full := encrypt(key, []byte(vectorClear[:64]), PadZero)
	for _, c := range []struct {
		p          Padding
		data, want string
	}{
		{PadEither, vectorZero, vectorClear},
		{PadEither, vectorPKCS, vectorClear},
		{PadZero, vectorZero, vectorClear},
		{PadZero, vectorPKCS, ""},
		{PadPKCS7, vectorPKCS, vectorClear},
		{PadPKCS7, vectorZero, ""},
		{PadEither, full, vectorClear[:64]},
	} {
		got, err := decrypt(key, c.data, c.p)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "padding "+string(c.p), string(got), c.want)
	}
	if _, err := decrypt(key, "AAAA", PadEither); err == nil {
		t.Error("three bytes are taken for blocks")
	}
}

// TestV3Vectors: salt 5QAHiKMb, password super, ts 1700000000.
func TestV3Vectors(t *testing.T) {
	const salt, ts = "5QAHiKMb", 1700000000
	same(t, "hash", hex.EncodeToString(hash3("set.miner.service", "super", salt, ts)), "64c12b23369f791fdc1daf2469eb4b9cd081e5ad8501e13f8b368177be1cd755")
	for cmd, want := range map[string]string{"set.miner.service": "ZMErIzaf", "set.miner.power_limit": "KE+jT6oZ", "set.miner.pools": "Pwg6oaYy"} {
		same(t, cmd, token3(cmd, "super", salt, ts), want)
	}
	pools := `[{"pool":"stratum+tcp://p.example:3333","worker":"w.1","passwd":"x"}]`
	same(t, "pools", encrypt(hash3("set.miner.pools", "super", salt, ts), []byte(pools), PadPKCS7),
		"zS/SRSZoKCCLE7rYs9bvuCNd+qB4A4G07+QQfL8qzcp+fnTNcZs/+kcUGj8aYqA7e0sIwx+BbSabbx0+L0+VuvrKSGTYgjfg1C1tmCbkYrU=")
}
