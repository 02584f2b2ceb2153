package agent

import (
	"slices"

	"rackagent/agent/command"
	"rackagent/agent/rack"
	"rackagent/config"
)

// identities are who may command, as the desk knows them. The configuration was checked before.
func identities(site string, c config.Commands) (command.Identities, error) {
	var out command.Identities
	for _, r := range c.AllRoles() {
		role := command.Role{Name: r.Name, Firm: r.Firm, Life: r.Life(), AddsPerS: r.AddsPerS}
		for _, v := range r.Verbs {
			role.Verbs = append(role.Verbs, rack.Op(v))
		}
		for _, text := range r.Targets {
			t, err := rack.ParseTarget(text)
			if err != nil {
				return command.Identities{}, err
			}
			role.Targets = append(role.Targets, t)
		}
		out.Roles = append(out.Roles, role)
	}
	for _, k := range c.Keys {
		out.Keys = append(out.Keys, command.Key{ID: k.KID, Issuer: k.Issuer, Role: k.Role, Public: k.PublicKey(), Revoked: k.Revoked})
	}
	for _, p := range c.Agents {
		out.Keys = append(out.Keys, command.Key{ID: p.KID, Issuer: site + "/" + p.Agent, Node: p.Node, Public: p.PublicKey()})
	}
	for _, u := range c.Users {
		out.Users = append(out.Users, command.User{UID: uint32(u.UID), Issuer: u.Issuer, Role: u.Role})
	}
	return out, nil
}

// keyIDs are the keys whose commands are taken, in order.
func keyIDs(c config.Commands) []string {
	var ids []string
	for _, k := range c.Keys {
		if !k.Revoked {
			ids = append(ids, k.KID)
		}
	}
	for _, p := range c.Agents {
		ids = append(ids, p.KID)
	}
	slices.Sort(ids)
	return ids
}
