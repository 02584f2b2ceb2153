package wire

import (
	"fmt"
	"strings"
	"testing"
)

func TestTopics(t *testing.T) {
	r17 := Topic("ams1", "r17")
	for _, c := range []struct{ got, want string }{
		{r17.Command(), "rackagent/v1/ams1/r17/down/cmd"},
		{r17.Down(), "rackagent/v1/ams1/r17/down/#"},
		{r17.Up("state"), "rackagent/v1/ams1/r17/up/state"},
		{r17.Up("cmd/01JD9XB7_-"), "rackagent/v1/ams1/r17/up/cmd/01JD9XB7_-"},
		{r17.Up("alarm/pdu-a.feed-b"), "rackagent/v1/ams1/r17/up/alarm/pdu-a.feed-b"},
		{r17.Up(""), ""},
		{r17.Up("cmd/"), ""},
		{r17.Up("/cmd"), ""},
		{r17.Up("cmd/#"), ""},
		{r17.Up("cmd/+"), ""},
		{r17.Up("cmd/a b"), ""},
		{r17.Up("cmd/\x00"), ""},
		{r17.Up("$x"), ""},
		{r17.Up("cmd/ü"), ""},
		{r17.Up("cmd/" + strings.Repeat("x", 65)), ""},
		{r17.Up(strings.Repeat("x/", 120) + "x"), ""},
		{Topic("ams1", "").Command(), ""},
		{Topic("ams1", "a/b").Down(), ""},
		{Topic("#", "r17").Up("state"), ""},
		{Topics{}.Command(), ""},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func ExampleTopic() {
	fmt.Println(Topic("ams1", "r17").Up("cmd/01JD9XB7"))
	// Output: rackagent/v1/ams1/r17/up/cmd/01JD9XB7
}
