package braiins

import (
	"fmt"
	"net/http"
	"strings"

	"rackagent/drivers"
	"rackagent/drivers/miner/rpc"
	"rackagent/drivers/miner/web"
)

// statusError is a reply that is no success.
type statusError struct {
	status int
	text   string
}

// Error gives the miner's own words.
func (e *statusError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("the miner answers HTTP %d: %s", e.status, e.text), ": ")
}

// refusalOf is what a reply that is no success means; nil: it is one.
func refusalOf(r web.Page, k rpc.Kind, secrets ...string) (drivers.Fault, error) {
	if r.Status >= 200 && r.Status < 300 {
		return drivers.None, nil
	}
	return faultOf(k, r.Status), &statusError{r.Status, said(string(r.Body), secrets...)}
}

// faultOf is what a status means. The documents give codes to few of the calls (400, 401, 404, 409, 412, 500, 501); the rest
// are what HTTP says of them. A server that breaks on a write may have passed it on.
func faultOf(k rpc.Kind, status int) drivers.Fault {
	switch status {
	case http.StatusUnauthorized:
		return drivers.Denied
	case http.StatusForbidden, http.StatusLocked:
		return drivers.Locked
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return drivers.Unsupported
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return drivers.Busy
	}
	switch {
	case status >= 500 && k == rpc.Write:
		return drivers.Unsure
	case status == http.StatusBadGateway, status == http.StatusGatewayTimeout:
		return drivers.Unreachable // a web server before a process that does not run
	case status >= 300 && status < 400:
		return drivers.Unsupported // the interface is elsewhere, and not followed
	}
	return drivers.Refused
}

// said is a text of the miner for people, with no secret in it: also none that is there once the text is plain.
func said(text string, secrets ...string) string {
	return hide(rpc.Plain(hide(text, secrets...)), secrets...)
}

// hide takes secrets out of a text of the miner. A text of under four characters is no secret, and would be found in words.
func hide(text string, secrets ...string) string {
	for _, s := range secrets {
		if len(s) >= 4 {
			text = strings.ReplaceAll(text, s, "***")
		}
	}
	return text
}
