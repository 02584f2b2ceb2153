package local

import (
	"fmt"
	"os"
	"testing"
)

func TestTheKernelSaysWhoConnects(t *testing.T) {
	d := newDesk()
	c := client(t, serving(t, d))
	got, err := c.Accept(t.Context(), "new eMMC")
	if os.Getuid() == nobody {
		if err == nil {
			t.Error("nobody may accept")
		}
		return
	}
	if err != nil || got.State != "succeeded" {
		t.Fatalf("%+v, %v", got, err)
	}
	if want := fmt.Sprintf("uid:%d", os.Getuid()); d.issuer != want {
		t.Errorf("issuer %s, want %s", d.issuer, want)
	}
}
