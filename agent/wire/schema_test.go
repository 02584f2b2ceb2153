package wire

import (
	"bytes"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaOf compiles a shipped schema as it is, or closed: with no member that it does not name. The shipped ones are
// open, because later versions may add members; messages of this version are held against the closed ones.
var schemaOf = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	out := map[string]*jsonschema.Schema{}
	names, err := fs.Glob(Schemas(), "*.json")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		raw, err := fs.ReadFile(Schemas(), name)
		if err != nil {
			return nil, err
		}
		for _, kind := range []string{"open", "closed"} {
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
			if err != nil {
				return nil, err
			}
			if kind == "closed" {
				closeObjects(doc)
			}
			c := jsonschema.NewCompiler()
			if err := c.AddResource("mem:///"+name, doc); err != nil {
				return nil, err
			}
			s, err := c.Compile("mem:///" + name)
			if err != nil {
				return nil, err
			}
			out[kind+" "+strings.TrimSuffix(name, ".json")] = s
		}
	}
	return out, nil
})

// closeObjects forbids what a schema does not name, wherever it names anything.
func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		_, properties := v["properties"]
		_, said := v["additionalProperties"]
		_, typed := v["type"]
		if properties && typed && !said {
			v["additionalProperties"] = false
		}
		delete(v, "$id")
		for _, member := range v {
			closeObjects(member)
		}
	case []any:
		for _, element := range v {
			closeObjects(element)
		}
	}
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// conform fails unless the payload matches the schema: kind is "open" or "closed".
func conform(t failer, kind, name string, payload []byte) {
	t.Helper()
	if err := violation(kind, name, payload); err != nil {
		t.Fatalf("%s does not match the %s schema: %v\n%s", name, kind, err, payload)
	}
}

func violation(kind, name string, payload []byte) error {
	all, err := schemaOf()
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		return err
	}
	return all[kind+" "+name].Validate(v)
}

func TestSchemasAreThereAndCompile(t *testing.T) {
	all, err := schemaOf()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"command", "status", "state", "info", "telemetry", "gap", "event", "alarm", "selftest"} {
		if all["open "+name] == nil || all["closed "+name] == nil {
			t.Errorf("no schema for %s", name)
		}
	}
	if len(all) != 18 {
		t.Errorf("%d schemas, want 9 in 2 forms", len(all))
	}
}

func TestSchemasRefuse(t *testing.T) {
	for _, c := range []struct{ name, payload string }{
		{"command", `{"v":1,"id":"a","op":"outlet.cut","target":"outlet/pdu-a.3"}`},
		{"command", `{"v":1,"id":"a","op":"outlet.cut","target":"outlet/pdu-a.3","exp":1.5}`},
		{"command", `{"v":1,"id":"a","op":"outlet.cut","target":"outlet/pdu-a.0","exp":1}`},
		{"command", `{"v":1,"id":"a","op":"outlet.cut","target":"outlet/pdu-a.3","exp":1,"args":{"off_s":1}}`},
		{"command", `{"v":1,"id":"a","op":"cmd.get","target":"rack","exp":1}`},
		{"command", `{"v":1,"id":"a","op":"cmd.get","target":"node/n","exp":1,"args":{"id":"b"}}`},
		{"command", `{"v":1,"id":"a","op":"outlet.cut","target":"outlet/pdu-a.3","exp":1,"iss":"local/power-return"}`},
		{"status", `{"v":1,"id":"a","st":"done","n":1,"ts":0,"boot":"b","dup":false,"code":"","txt":"","part":1,"parts":1}`},
		{"state", `{"v":1,"state":"offline","boot":"b","conn":1,"ts":0,"clock":{"src":"ntp","ok":true},"sw":"1","mode":"normal"}`},
		{"telemetry", `{"v":1,"ep":"k","seq":1,"ts":0,"d":{"pdu-a":{"p_w":["1"]}}}`},
		{"event", `{"v":1,"ts":0,"kind":"started","sev":"loud","txt":""}`},
		{"gap", `{"v":1,"ep":"k3f9","from":0,"to":5,"why":"budget"}`},
		{"alarm", `{"v":1,"key":"A","since":0,"sev":"warn","txt":""}`},
	} {
		if violation("open", c.name, []byte(c.payload)) == nil {
			t.Errorf("the %s schema takes %s", c.name, c.payload)
		}
	}
}
