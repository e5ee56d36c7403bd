// Package machines keeps what is known of machines that run in the background: a directory for each, which its
// supervisor writes and everybody reads.
//
//	spec.json    what to run
//	state.json   what became of it, replaced as a whole
//	output       what the program and the kernel wrote, as records (see Log); output.1 is what was before
//	control      a Unix socket of the supervisor
//	supervisor   what the supervisor itself had to say, which is nothing unless it crashed
//
// A directory without a living supervisor is that of a machine that has ended: a machine does not outlive its supervisor.
package machines

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"gosv/host/vmm"
)

// Store is the directory of machines.
type Store struct{ Dir string }

// Open gives this user's machines: in $XDG_STATE_HOME/gosv/machines, by default
// ~/.local/state/gosv/machines. It is not $XDG_RUNTIME_DIR, since that goes when
// the user logs out while the machines go on.
func Open() (*Store, error) {
	dir := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, errors.New("no place for the state of machines: neither $XDG_STATE_HOME nor $HOME is set")
		}
		dir = filepath.Join(home, ".local/state")
	}
	return &Store{filepath.Join(dir, "gosv/machines")}, nil
}

// Spec is what a machine runs.
type Spec struct {
	Program   string      `json:"program"` // as the user wrote it
	Args      []string    `json:"args"`    // what follows it
	Created   time.Time   `json:"created"`
	Machine   vmm.Machine `json:"machine"`
	QEMU      string      `json:"qemu,omitempty"` // path
	Timeout   string      `json:"timeout,omitempty"`
	Strace    string      `json:"strace,omitempty"`
	BootChart bool        `json:"bootchart,omitempty"`
	Verbose   bool        `json:"verbose,omitempty"`
	Quiet     bool        `json:"quiet,omitempty"`
	Remove    bool        `json:"remove,omitempty"` // when it has ended
}

// States of a machine.
const (
	Starting = "starting"
	Running  = "running"
	Exited   = "exited"
	Lost     = "lost" // its supervisor was killed, or the host went down
)

// State is what became of a machine.
type State struct {
	State      string    `json:"state"`
	Supervisor Process   `json:"supervisor"`
	Hypervisor int       `json:"hypervisor,omitempty"` // its process
	Started    time.Time `json:"started,omitzero"`
	Ended      time.Time `json:"ended,omitzero"`
	Status     int       `json:"status"`            // exit status, once it has exited
	Message    string    `json:"message,omitempty"` // what was wrong, for people
}

// Machine is a directory of the store.
type Machine struct {
	Name string
	Dir  string
}

// Errors of the store.
var (
	ErrExists = errors.New("there is a machine of this name")
	ErrNone   = errors.New("there is no machine of this name")
)

var goodName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$`)

// CheckName tells whether a machine can have this name.
func CheckName(name string) error {
	if !goodName.MatchString(name) {
		return fmt.Errorf("%q cannot be a machine's name: it has letters, digits, and - _ . after the first, 63 at most", name)
	}
	return nil
}

// Create makes the directory of a machine. With an empty name one is made of
// the program's.
func (s *Store) Create(name string, spec Spec) (*Machine, error) {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, err
	}
	var m *Machine
	for {
		try := name
		if name == "" {
			try = makeName(spec.Program)
		} else if err := CheckName(name); err != nil {
			return nil, err
		}
		m = &Machine{try, filepath.Join(s.Dir, try)}
		err := os.Mkdir(m.Dir, 0o700)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if name != "" {
			return nil, fmt.Errorf("%w: %s; end and remove it with gosv rm -f %s", ErrExists, name, name)
		}
	}
	err := writeJSON(filepath.Join(m.Dir, "spec.json"), spec)
	if err == nil {
		err = m.SetState(State{State: Starting, Supervisor: Self()})
	}
	if err != nil {
		os.RemoveAll(m.Dir)
		return nil, err
	}
	return m, nil
}

// makeName makes a name such as redis-server-1f09.
func makeName(program string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(filepath.Base(program)) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || b.Len() > 0 && strings.ContainsRune("-_.", c) {
			b.WriteRune(c)
		}
		if b.Len() == 40 {
			break
		}
	}
	if b.Len() == 0 {
		b.WriteString("machine")
	}
	var r [2]byte
	rand.Read(r[:]) //nolint:errcheck // it does not fail
	return b.String() + "-" + hex.EncodeToString(r[:])
}

// List gives all machines, the oldest first.
func (s *Store) List() ([]*Machine, error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	type aged struct {
		m  *Machine
		at time.Time
	}
	var list []aged
	for _, e := range entries {
		m := &Machine{e.Name(), filepath.Join(s.Dir, e.Name())}
		if spec, err := m.Spec(); err == nil && e.IsDir() {
			list = append(list, aged{m, spec.Created})
		}
	}
	slices.SortStableFunc(list, func(a, b aged) int { return a.at.Compare(b.at) })
	machines := make([]*Machine, len(list))
	for i, a := range list {
		machines[i] = a.m
	}
	return machines, nil
}

// Find gives the machine of a name, or the only one whose name begins so.
func (s *Store) Find(name string) (*Machine, error) {
	list, err := s.List()
	if err != nil {
		return nil, err
	}
	var found []*Machine
	for _, m := range list {
		if m.Name == name {
			return m, nil
		}
		if name != "" && strings.HasPrefix(m.Name, name) {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, fmt.Errorf("%w: %s; gosv ps -a lists them", ErrNone, name)
	}
	return nil, fmt.Errorf("%s begins the names of %d machines: %s and %s, for example", name, len(found), found[0].Name, found[1].Name)
}

// Spec reads what the machine runs.
func (m *Machine) Spec() (s Spec, err error) {
	return s, readJSON(filepath.Join(m.Dir, "spec.json"), &s)
}

// SetState replaces the state.
func (m *Machine) SetState(s State) error {
	return writeJSON(filepath.Join(m.Dir, "state.json"), s)
}

// State reads the state. That of a machine whose supervisor is no more is Lost.
func (m *Machine) State() (s State, err error) {
	if err := readJSON(filepath.Join(m.Dir, "state.json"), &s); err != nil {
		return s, err
	}
	if s.Alive() && !s.Supervisor.Alive() {
		// It may have ended between the two looks.
		if err := readJSON(filepath.Join(m.Dir, "state.json"), &s); err != nil || !s.Alive() {
			return s, err
		}
		s.State, s.Message = Lost, "its supervisor was killed, or this machine was restarted"
	}
	return s, nil
}

// Alive tells whether the machine has not ended.
func (s State) Alive() bool { return s.State == Starting || s.State == Running }

// Remove forgets a machine, which must have ended. One that is gone already is
// no error.
func (m *Machine) Remove() error {
	// First out of everybody's sight, so that half of a directory is never a machine.
	gone := filepath.Join(filepath.Dir(m.Dir), "."+m.Name+"."+rand.Text())
	if err := os.Rename(m.Dir, gone); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return os.RemoveAll(gone)
}

func writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	tmp := name + "." + rand.Text()
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	if err := os.Rename(tmp, name); err != nil {
		os.Remove(tmp)
		return err
	}
	return nil
}

func readJSON(name string, v any) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
