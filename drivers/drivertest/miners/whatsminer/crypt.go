package whatsminer

import (
	"bytes"
	"crypto/aes"
	"crypto/md5" //nolint:gosec // the protocol's hash
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// alphabet is crypt's.
const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// md5crypt gives the hash part, 22 characters, of crypt's method 1.
func md5crypt(password, salt string) string {
	p := []byte(password)
	d := md5first(p, salt)
	for i := range 1000 {
		d = md5round(i, d, p, salt)
	}
	return md5text(d)
}

func md5first(p []byte, salt string) []byte {
	alt := md5sum(p, []byte(salt), p)
	a := append([]byte{}, p...)
	a = append(a, "$1$"+salt...)
	for i := range p {
		a = append(a, alt[i%len(alt)])
	}
	for n := len(p); n > 0; n >>= 1 {
		if n&1 == 1 {
			a = append(a, 0)
		} else {
			a = append(a, p[0])
		}
	}
	return md5sum(a)
}

func md5round(i int, d, p []byte, salt string) []byte {
	first, last := d, p
	if i%2 == 1 {
		first, last = p, d
	}
	c := append([]byte{}, first...)
	if i%3 != 0 {
		c = append(c, salt...)
	}
	if i%7 != 0 {
		c = append(c, p...)
	}
	return md5sum(c, last)
}

func md5sum(parts ...[]byte) []byte {
	h := md5.New() //nolint:gosec // the protocol's hash
	for _, p := range parts {
		_, _ = h.Write(p)
	}
	return h.Sum(nil)
}

func md5text(d []byte) string {
	var b strings.Builder
	emit := func(v, n int) {
		for range n {
			b.WriteByte(alphabet[v&63])
			v >>= 6
		}
	}
	for _, t := range [][3]int{{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}} {
		emit(int(d[t[0]])<<16|int(d[t[1]])<<8|int(d[t[2]]), 4)
	}
	emit(int(d[11]), 2)
	return b.String()
}

// aesKey is v2's: of the hash part of md5crypt(password, salt).
func aesKey(hash string) []byte {
	k := sha256.Sum256([]byte(hash))
	return k[:]
}

// errBase64 is Code 137.
var errBase64 = errors.New("base64")

// encrypt is AES in ECB mode, base64.
func encrypt(key, clear []byte, p Padding) string {
	n := aes.BlockSize - len(clear)%aes.BlockSize
	fill := byte(n)
	if p != PadPKCS7 {
		n, fill = n%aes.BlockSize, 0
	}
	b := append([]byte{}, clear...)
	for range n {
		b = append(b, fill)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // of the simulator's own key
	}
	for i := 0; i < len(b); i += aes.BlockSize {
		block.Encrypt(b[i:], b[i:])
	}
	return base64.StdEncoding.EncodeToString(b)
}

// decrypt takes the padding away that p accepts; of another one nothing is left.
func decrypt(key []byte, text string, p Padding) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errBase64
	}
	if len(b)%aes.BlockSize != 0 {
		return nil, errors.New("no whole blocks")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(b); i += aes.BlockSize {
		block.Decrypt(b[i:], b[i:])
	}
	return unpad(b, p), nil
}

func unpad(b []byte, p Padding) []byte {
	n := pkcs7(b)
	switch {
	case n > 0 && p == PadZero, n == 0 && p == PadPKCS7:
		return nil
	case n > 0:
		return b[:len(b)-n]
	default:
		return bytes.TrimRight(b, "\x00")
	}
}

// pkcs7 is how many bytes are padding; 0: they are no PKCS#7.
func pkcs7(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	n := int(b[len(b)-1])
	if n < 1 || n > aes.BlockSize || n > len(b) {
		return 0
	}
	for _, c := range b[len(b)-n:] {
		if int(c) != n {
			return 0
		}
	}
	return n
}

// hash3 is what a v3 write is signed with.
func hash3(cmd, password, salt string, ts int64) []byte {
	h := sha256.Sum256([]byte(cmd + password + salt + strconv.FormatInt(ts, 10)))
	return h[:]
}

// token3 is the part of it that is sent.
func token3(cmd, password, salt string, ts int64) string {
	return base64.StdEncoding.EncodeToString(hash3(cmd, password, salt, ts))[:8]
}

// word makes a salt of eight characters that this machine has not used before.
func (s *Server) word() string {
	s.words++
	sum := sha256.Sum256([]byte(s.m.Spec().MAC + strconv.Itoa(s.words)))
	w := make([]byte, 8)
	for i := range w {
		w[i] = alphabet[sum[i]&63]
	}
	return string(w)
}
