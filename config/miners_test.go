package config

import (
	"strings"
	"testing"
)

func TestMistakesInMiners(t *testing.T) {
	const before = "    max_w: 1600\n"
	with := func(entries string) string { return before + "miners:\n" + entries }
	judge(t, []mistake{
		{"none", before, with("  - {node: asic-1, api: luxos, host: 10.0.3.17, mac: 02:00:5e:10:00:01, user: root, password_file: /etc/p, period_s: 5}\n"), ``},
		{"a name and an address of the sixth version", before, with("  - {node: asic-1, api: luxos, host: miner-1.row-4.example}\n"), ``},
		{
			"everything missing", before, with("  - {period_s: 5}\n"),
			`c.yaml:22:5: miners[0].api: this key is missing
c.yaml:22:5: miners[0].host: this key is missing
c.yaml:22:5: miners[0].node: this key is missing`,
		},
		{
			"everything wrong", before, with("  - {node: gpu-1, api: luxos, host: \"http://a:80/\", mac: 02-00, user: \"a b\", password_file: secret, period_s: 1}\n"),
			`c.yaml:22:12: miners[0].node: gpu-1 is no miner: its class is gpu
c.yaml:22:37: miners[0].host: not an address or a host name (without a port)
c.yaml:22:58: miners[0].mac: not a MAC address (write 02:00:5e:10:00:01, in lower case)
c.yaml:22:71: miners[0].user: not 1 to 128 printable characters without spaces
c.yaml:22:93: miners[0].password_file: not an absolute path without . and .. (the key takes the path of a file, not its content)
c.yaml:22:111: miners[0].period_s: 1 is outside 2 to 3600 s`,
		},
		{
			"twice, and nobody", before, with("  - {node: asic-1, api: luxos, host: 10.0.3.17}\n  - {node: asic-1, api: luxos, host: 10.0.3.17}\n  - {node: asic-9, api: luxos, host: 10.0.3.18}\n"),
			`c.yaml:23:12: miners[1].node: "asic-1" is also the name of miners[0] on line 22
c.yaml:23:38: miners[1].host: "10.0.3.17" is also the host of miners[0] on line 22
c.yaml:24:12: miners[2].node: no node is named "asic-9"`,
		},
	})
}

// An interface that the program does not have is named with those that it has.
func TestMinersInterfaces(t *testing.T) {
	c, _ := Parse("c.yaml", []byte(small+"miners:\n  - {node: asic-1, api: telnet, host: a}\n"))
	got := lines(c.Check(Catalogue{Model: ac8, Miners: []string{"luxos"}}))
	if want := "c.yaml:22:25: miners[0].api: no interface is named \"telnet\" (interfaces: luxos)\n"; got != want {
		t.Errorf("%s", got)
	}
}

// A miner without a login of its own has that of its group; two groups cannot both have one for it.
func TestAGroupsLogin(t *testing.T) {
	const miners = "miners:\n  - {node: asic-1, api: luxos, host: a}\n"
	login := func(text string) (user, file, findings string) {
		c, _ := Parse("c.yaml", []byte(small+text))
		return c.Miners[0].User, c.Miners[0].PasswordFile, lines(c.Check(Catalogue{Model: ac8}))
	}
	const one = "groups:\n  - {name: all, nodes: [gpu-1, asic-1], miner_user: root, miner_password_file: /etc/all}\n"
	if user, file, bad := login(miners + one); user != "root" || file != "/etc/all" || bad != "" {
		t.Errorf("%q %q %s", user, file, bad)
	}
	own := "miners:\n  - {node: asic-1, api: luxos, host: a, password_file: /etc/own}\n"
	if user, file, bad := login(own + one); user != "" || file != "/etc/own" || bad != "" {
		t.Errorf("its own: %q %q %s", user, file, bad)
	}
	if user, file, bad := login(miners + "groups:\n  - {name: all, nodes: [gpu-1], miner_password_file: /etc/all}\n"); user != "" || file != "" || bad != "" {
		t.Errorf("another group: %q %q %s", user, file, bad)
	}
	if _, _, bad := login(miners + one + "  - {name: two, nodes: [asic-1], miner_password_file: credential:two}\n"); !strings.Contains(bad, `groups[1]: "asic-1" is in group "all", too`) {
		t.Errorf("two groups: %s", bad)
	}
	if _, _, bad := login(miners + "groups:\n  - {name: all, nodes: [asic-1], miner_user: \"a b\", miner_password_file: s3cr3t}\n"); !strings.Contains(bad, "groups[0].miner_user: not 1 to 128") || !strings.Contains(bad, "groups[0].miner_password_file: not an absolute path") || strings.Contains(bad, "s3cr3t") {
		t.Errorf("nonsense: %s", bad)
	}
}
