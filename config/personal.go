package config

// ReadPersonal reads what is one person's alone, such as the key that signs for them, as ReadSecret reads what a service
// shares with its group: the file may be readable for its owner and nobody else (ErrUnsafeFile). What belongs to root may
// be readable for a group: systemd's LoadCredential= gives a program its key that way. It opens no credential by name.
func ReadPersonal(path string) (Secret, error) {
	return readSecret(path, guard{noMode: 0o066, fix: "chmod 0600", rootsGroup: true})
}
