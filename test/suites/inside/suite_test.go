package main

import (
	"strings"
	"testing"

	"gosv/test/suites/plan"
)

func TestFit(t *testing.T) {
	s := &suite{Suite: plan.Suite{Between: ","}}
	name := strings.Repeat("x", 999)
	tests := make([]string, 101)
	for i := range tests {
		tests[i] = name
	}
	if n := s.fit(tests); n != 100 {
		t.Errorf("%d names fit", n)
	}
	if n := s.fit(tests[:7]); n != 7 {
		t.Errorf("%d of 7 names fit", n)
	}
}
