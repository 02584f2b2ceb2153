package whatsminer

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5" //nolint:gosec // md5crypt is what the protocol asks for
	"encoding/base64"
	"errors"
	"strings"
)

const (
	cryptMagic  = "$1$"
	cryptRounds = 1000
	cryptSalt   = 8 // bytes of a salt that count
	cryptDigits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// md5crypt is the hash part of crypt(3) with $1$, 22 characters (FreeBSD, crypt-md5.c). Its work grows with the length of the
// password: callers bound it.
func md5crypt(password, salt string) string {
	p, s := []byte(password), []byte(saltOf(salt))
	alt := sum(p, s, p)
	a := bytes.Join([][]byte{p, []byte(cryptMagic), s}, nil)
	for n := len(p); n > 0; n -= len(alt) {
		a = append(a, alt[:min(n, len(alt))]...)
	}
	for n := len(p); n > 0; n >>= 1 {
		if n&1 == 1 {
			a = append(a, 0)
		} else {
			a = append(a, p[0])
		}
	}
	d := sum(a)
	for i := range cryptRounds {
		d = cryptRound(i, p, s, d)
	}
	return cryptText(d)
}

// saltOf is what counts of a salt.
func saltOf(salt string) string {
	salt, _, _ = strings.Cut(strings.TrimPrefix(salt, cryptMagic), "$")
	return salt[:min(len(salt), cryptSalt)]
}

func cryptRound(i int, p, s, d []byte) []byte {
	first, last := d, p
	if i&1 == 1 {
		first, last = p, d
	}
	c := bytes.Clone(first)
	if i%3 != 0 {
		c = append(c, s...)
	}
	if i%7 != 0 {
		c = append(c, p...)
	}
	return sum(c, last)
}

func cryptText(d []byte) string {
	var out []byte
	digits := func(v uint32, n int) {
		for range n {
			out = append(out, cryptDigits[v&63])
			v >>= 6
		}
	}
	for _, t := range [...][3]int{{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}} {
		digits(uint32(d[t[0]])<<16|uint32(d[t[1]])<<8|uint32(d[t[2]]), 4)
	}
	digits(uint32(d[11]), 2)
	return string(out)
}

func sum(parts ...[]byte) []byte {
	d := md5.Sum(bytes.Join(parts, nil)) //nolint:gosec // md5crypt is what the protocol asks for
	return d[:]
}

// padded fills up to whole blocks: with zeros, or as PKCS#7 does.
func padded(text []byte, pkcs7 bool) []byte {
	n := aes.BlockSize - len(text)%aes.BlockSize
	fill := byte(n)
	if !pkcs7 {
		n, fill = n%aes.BlockSize, 0
	}
	return append(bytes.Clone(text), bytes.Repeat([]byte{fill}, n)...)
}

// unpadded takes either padding away.
func unpadded(text []byte) []byte {
	if n := len(text); n > 0 {
		fill := text[n-1]
		if fill >= 1 && int(fill) <= min(n, aes.BlockSize) && bytes.Count(text[n-int(fill):], []byte{fill}) == int(fill) {
			return text[:n-int(fill)]
		}
	}
	return bytes.TrimRight(text, "\x00")
}

var errSealed = errors.New("the sealed reply cannot be opened")

// cipherOf is AES-256. A key of 32 bytes is the one thing that it could refuse.
func cipherOf(key [32]byte) cipher.Block {
	b, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err)
	}
	return b
}

// seal encrypts with AES-256 block by block, as base64.
func seal(key [32]byte, text []byte, pkcs7 bool) string {
	text = padded(text, pkcs7)
	for b, i := cipherOf(key), 0; i < len(text); i += aes.BlockSize {
		b.Encrypt(text[i:i+aes.BlockSize], text[i:i+aes.BlockSize])
	}
	return base64.StdEncoding.EncodeToString(text)
}

// open decrypts what seal made.
func open(key [32]byte, sealed string) ([]byte, error) {
	text, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil || len(text) == 0 || len(text)%aes.BlockSize != 0 {
		return nil, errSealed
	}
	for b, i := cipherOf(key), 0; i < len(text); i += aes.BlockSize {
		b.Decrypt(text[i:i+aes.BlockSize], text[i:i+aes.BlockSize])
	}
	return unpadded(text), nil
}
