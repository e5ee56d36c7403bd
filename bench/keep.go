package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"time"
)

// kept is what was measured so far, in a file beside the programs: a run may measure a part, and the figures of the others
// stay as long as they are of the same kernel.
type kept struct {
	file string

	Kernel  string            // digest of gosv's
	When    map[string]string // a step was done, by its name
	Systems []measured        // in the order of the results
}

// measured is what one system has in the file.
type measured struct {
	Values map[string][]float64
	Notes  map[string][]string
}

// loadKept reads the figures of kernel into all.
func loadKept(file, kernel string, all []*results) (*kept, error) {
	b, err := os.ReadFile(kernel)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	digest := hex.EncodeToString(sum[:8])
	k := &kept{}
	if b, err = os.ReadFile(file); err == nil {
		err = json.Unmarshal(b, k)
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	if k.Kernel != digest || len(k.Systems) != len(all) {
		k = &kept{Kernel: digest}
	}
	k.file = file
	if k.When == nil {
		k.When = map[string]string{}
	}
	for i := range k.Systems {
		maps.Copy(all[i].values, k.Systems[i].Values)
		maps.Copy(all[i].notes, k.Systems[i].Notes)
	}
	return k, nil
}

// take puts what was measured just now in the place of what was there, and its failures.
func (k *kept) take(all, fresh []*results) {
	for i, r := range fresh {
		for step := range r.notes {
			k.When[step] = time.Now().UTC().Format("2006-01-02 15:04 UTC")
		}
		maps.Copy(all[i].values, r.values)
		maps.Copy(all[i].notes, r.notes)
	}
}

func (k *kept) save(all []*results) error {
	k.Systems = nil
	for _, r := range all {
		k.Systems = append(k.Systems, measured{r.values, r.notes})
	}
	b, err := json.MarshalIndent(k, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(k.file, b, 0o644)
}
