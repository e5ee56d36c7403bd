package config

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"

	"gosv/host/rootfs"
)

const full = `# everything
program: ./server
args: [--port, "80", 7]
env:
  A: b c
  N: 5
workdir: /srv
hostname: web
init: true
files:
  - config.toml:/etc/app/config.toml:ro
  - from: ./static
    to: /srv/static/
    readonly: true
memory: 1.5G
cpus: 2
ports:
  - 8080:80
  - 53
  - 127.0.0.1:5353:53/udp
network: [user, tap=tap0]
`

func TestParse(t *testing.T) {
	got, err := Parse("f", []byte(full))
	want := &File{Program: "./server", Args: []string{"--port", "80", "7"}, Env: []string{"A=b c", "N=5"}, Workdir: "/srv", Hostname: "web", Init: true,
		Files:  []rootfs.Volume{{Host: "config.toml", Guest: "/etc/app/config.toml", ReadOnly: true}, {Host: "./static", Guest: "/srv/static", ReadOnly: true}},
		Memory: 3 << 29, CPUs: 2, Ports: []string{"8080:80", "53", "127.0.0.1:5353:53/udp"}, Networks: []string{"user", "tap=tap0"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "f: is empty",
		"- a\n":                       "f:1: must be a mapping",
		"program: x\nmem: 1\n":        "f:2: mem: unknown key; did you mean memory?",
		"program: x\nzzz: 1\n":        "f:2: zzz: unknown key; the keys are args,",
		"program: x\nprogram: y\n":    "f:2: program: given twice",
		"program: [x]\n":              "f:1: program: must be a text",
		"program:\n":                  "f:1: program: must be a text",
		"init: maybe\n":               "f:1: init: must be true or false",
		"args: x\n":                   "f:1: args: must be a list",
		"args:\n - a\n - [b]\n":       "f:3: args: each item must be a text",
		"memory: lots\n":              `f:1: memory: "lots" is not a size of memory`,
		"memory: 64G\n":               "f:1: memory: 64G of memory is more than the 16 GiB",
		"cpus: 0\n":                   `f:1: cpus: "0" is not a number of CPUs from 1 to 8`,
		"cpus: 9\n":                   `f:1: cpus: "9" is not`,
		"ports: 80\n":                 "f:1: ports: must be a list",
		"ports:\n - 80\n - a:b\n":     "f:3: ports: publish \"a:b\"",
		"network: host\n":             "f:1: network: network \"host\"",
		"network:\n - user\n - tap=":  "f:3: network: network \"tap=\"",
		"workdir: srv\n":              "f:1: workdir: must be an absolute path",
		"env:\n - A\n":                `f:2: env: "A" is not NAME=value`,
		"files:\n - a\n":              `f:2: files: volume "a": write it HOST:GUEST`,
		"files:\n - from: a\n   x: b": "f:3: files: x is no key of a file",
		"files:\n - from: a\n":        "f:2: files: a file needs from",
		"program: x\n  bad: [\n":      "f:",
		"program: \"x\n":              "f:",
		"program: x\n---\nprogram: y": "f: holds more than one YAML document",
	} {
		_, err := Parse("f", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s...", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the message has more than one line: %q", text, err)
		}
	}
}

func TestParseMemory(t *testing.T) {
	for s, want := range map[string]int64{
		"64M": 64 << 20, "64": 64 << 20, "2g": 2 << 30, "1.5GiB": 3 << 29, "512K": 512 << 10, "100MB": 100 << 20, " 8M ": 8 << 20,
		"": -1, "M": -1, "-1M": -1, "0": -1, "1e3M": -1, "0x10M": -1, "nan": -1, "infM": -1, "64B": -1, "17G": -1, "64 Q": -1,
	} {
		got, err := ParseMemory(s)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("%q: got %d, %v; want %d", s, got, err, want)
		}
	}
}

func TestParseEnvFile(t *testing.T) {
	lookup := func(n string) (string, bool) { return "from host", n == "SET" }
	got, err := ParseEnvFile("e", []byte("# c\n\nA=1\r\n  B=\"x\" y\nSET\nUNSET\nC=\n"), lookup)
	if want := []string{"A=1", `B="x" y`, "SET=from host", "C="}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if _, err := ParseEnvFile("e", []byte("A=1\n=2\n"), lookup); err == nil || !strings.HasPrefix(err.Error(), "e:2: ") {
		t.Errorf("a line without a name gave %v", err)
	}
}

// TestSchema keeps docs/gosv.schema.json and the documentation true.
func TestSchema(t *testing.T) {
	b, err := os.ReadFile("../../docs/gosv.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties           map[string]json.RawMessage
		AdditionalProperties bool
	}
	schema.AdditionalProperties = true
	if err := json.Unmarshal(b, &schema); err != nil {
		t.Fatal(err)
	}
	var names []string
	for n := range schema.Properties {
		names = append(names, n)
	}
	sort.Strings(names)
	if !slices.Equal(names, Keys()) || schema.AdditionalProperties {
		t.Errorf("the schema has the keys %q, the reader %q", names, Keys())
	}
	doc, err := os.ReadFile("../../docs/gosv-yaml.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Keys() {
		if !strings.Contains(string(doc), "`"+k+"`") {
			t.Errorf("docs/gosv-yaml.md does not describe %s", k)
		}
	}
	_, example, _ := strings.Cut(string(doc), "```yaml\n")
	example, _, ok := strings.Cut(example, "```")
	if f, err := Parse("docs/gosv-yaml.md", []byte(example)); !ok || err != nil || f.Program == "" {
		t.Errorf("the example of docs/gosv-yaml.md: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("files: &a\n - *a\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse("f", b)
		if (c == nil) == (err == nil) {
			t.Fatalf("got %v and %v", c, err)
		}
	})
}
